"""`identity-service preview --policy NAME`: what another policy would do to the visitors of whom a shop has a record. It changes nothing.

Each record is decided anew under both policies, as if the visitor called now and said nothing. The region is that of the record's newest
receipt. What only a browser knows is not seen: its refusal cookie, its banner's cookies, its GPC and DNT. Nor are cookieless visitors
without a record.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from identity_service.app import make_services
from identity_service.model.consent import Millis, millis_of
from identity_service.model.policy import Asked, Decision, Facts, decide
from identity_service.model.shop import Shop
from identity_service.model.visitor import Mode, VisitorRecord
from identity_service.ops.stores import CommandRefused, exit_code_of
from identity_service.server.limits import private_memory
from identity_service.settings.schema import Settings
from identity_service.store import Clock
from identity_service.store.schema import SeenMark, examine_marks, schema_of
from identity_service.web.call import Services

UNKNOWN_REGION = "unknown"
NOT_SEEN = "Not seen: refusal cookies, banners' cookies, GPC and DNT of the next calls, and cookieless visitors without a record."


@dataclass(frozen=True, slots=True)
class Switch:
    """What a change of policy does to a visitor: mode and reason, before and after."""

    region: str
    before: tuple[Mode, str]
    after: tuple[Mode, str]


def switch_of(shop: Shop, policy: str, record: VisitorRecord, region: str | None, now: Millis) -> Switch:
    facts = Facts(
        asked=Asked.NOTHING,
        now=now,
        consent=record.consent if record.granted else None,
        opt_outs_seen=record.opt_outs_seen,
        opted_out=record.opted_out,
        opted_in_at=record.opted_in_at,
        region=region,
        notice=shop.signals.notice_at(now),
    )
    before, after = (_outcome(decide(one, facts)) for one in (shop.policy, shop.policies[policy]))
    return Switch(region or UNKNOWN_REGION, before, after)


def _outcome(decision: Decision) -> tuple[Mode, str]:
    return decision.mode, decision.reason.value


async def count_switches(services: Services, shop: Shop, policy: str, now: Millis) -> Counter[Switch]:
    """Raises StoreUnavailable."""
    found = Counter[Switch]()
    async for batch in services.store.visitors.records(shop.shop_id, now // 1000):
        receipts = await asyncio.gather(*(services.receipts.by_id(shop, newest) for _, newest in batch if newest))
        regions = {receipt.receipt_id: receipt.region for receipt in receipts if receipt}
        found.update(switch_of(shop, policy, record, regions.get(newest or ""), now) for record, newest in batch)
    return found


def report(shop: Shop, policy: str, found: Mapping[Switch, int]) -> Iterator[str]:
    yield f"{shop.shop_id}: {shop.policy.name} -> {policy}, {sum(found.values()):,} visitors with a record"
    yield f"  {'mode':<12}{'now':>14}{'then':>14}"
    for mode in Mode:
        before = sum(count for switch, count in found.items() if switch.before[0] is mode)
        after = sum(count for switch, count in found.items() if switch.after[0] is mode)
        yield f"  {mode:<12}{before:>14,}{after:>14,}"
    if found:
        yield f"  {'visitors':>12}  {'region':<9}{'now':<34}then"
    for switch, count in sorted(found.items(), key=lambda item: (-item[1], item[0].region, item[0].before, item[0].after)):
        yield f"  {count:>12,}  {switch.region:<9}{' '.join(switch.before):<34}{' '.join(switch.after)}"


async def _preview(settings: Settings, policy: str, wanted: Sequence[str], clock: Clock) -> None:
    services = make_services(settings, clock, private_memory())
    try:
        if fault := await examine_marks(services.store.client, schema_of(settings.secrets.peppers), SeenMark()):
            raise CommandRefused(fault.text)
        for shop in services.shops:
            if shop.shop_id in wanted:
                found = await count_switches(services, shop, policy, millis_of(clock()))
                print(*report(shop, policy, found), sep="\n")
        print(NOT_SEEN)
    finally:
        await services.store.client.close()


def preview(settings: Settings, policy: str, shop: str | None, clock: Clock = time.time) -> int:
    """`shop`: None for all. `clock`: seconds since 1970. Returns the exit code."""

    def run() -> None:
        if shop is not None and shop not in settings.shops:
            raise CommandRefused(f"--shop {shop}: the settings have no such shop; they have {', '.join(settings.shops)}")
        asyncio.run(_preview(settings, policy, [shop] if shop else list(settings.shops), clock))

    return exit_code_of(run)
