"""What another policy would do to the visitors of a live store, as the operator's command counts it."""

import asyncio
from typing import Any

import pytest
import redis

from identity_service.app import Application
from identity_service.cli import main
from identity_service.model.consent import Millis
from identity_service.model.shop import Shop
from identity_service.model.visitor import Mode
from identity_service.ops.preview import Switch, count_switches, preview
from identity_service.settings.schema import Settings
from tests.conftest import Clock, Shopper, shopping
from tests.test_privacy import dump

GRANTED = (Mode.PERSISTENT, "consent_granted")
OF_THE_SHOP = (Mode.PERSISTENT, "persistent_requested")
COOKIELESS, NOBODY = (Mode.COOKIELESS, "no_signal"), (Mode.NULL, "no_signal")


def client(region: str, number: int = 1) -> dict[str, Any]:
    return {"client": {"ip": f"198.51.100.{number}", "user_agent": "Mozilla/5.0 (Macintosh) Safari/605", "region": region}}


async def fill(shopper: Shopper) -> None:
    """Two French visitors who granted and one by the shop's word, a British one by it, one of no region; one linked without consent, and
    several of whom nothing is stored."""
    for number in range(2):
        await shopper.post("/v1/consents", client("FR", number) | {"consent": "granted"})
    for region in ("FR", "GB"):
        await shopper.post("/v1/visitors", client(region, 7) | {"visitor": "persistent"})
    await shopper.post("/v1/consents", {"consent": "granted"})
    cookieless = (await shopper.post("/v1/visitors", client("FR", 9))).json()
    await shopper.post("/v1/links", {"email": "luke@skywalker.com", "token": cookieless["token"]})
    await shopper.post("/v1/visitors", client("DE", 10))
    withdrawn = (await shopper.post("/v1/consents", client("FR", 11) | {"consent": "granted"})).json()
    await shopper.post("/v1/visitors", {"token": withdrawn["token"], "consent": "refused"})


def demo(application: Application) -> Shop:
    return next(shop for shop in application.services.shops if shop.shop_id == "demo")


@pytest.mark.anyio
async def test_each_record_is_decided_anew_without_a_signal_and_nothing_changes(
    application: Application, shopper: Shopper, clock: Clock, database: redis.Redis
) -> None:
    await fill(shopper)
    before = dump(database)
    application.services.store.visitors.records_at_once = 1
    for _ in range(2):
        found = await count_switches(application.services, demo(application), "strict", Millis(int(clock() * 1000)))
        assert found == {
            Switch("FR", GRANTED, GRANTED): 2,
            Switch("FR", OF_THE_SHOP, NOBODY): 1,
            Switch("GB", OF_THE_SHOP, COOKIELESS): 1,
            Switch("unknown", GRANTED, GRANTED): 1,
            Switch("unknown", COOKIELESS, NOBODY): 1,
        }
    assert dump(database) == before
    same = await count_switches(application.services, demo(application), "standard", Millis(int(clock() * 1000)))
    assert all(switch.before == switch.after for switch in same)
    clock.forward(391 * 86_400)
    later = await count_switches(application.services, demo(application), "strict", Millis(int(clock() * 1000)))
    assert {switch.before for switch in later} == {COOKIELESS}
    assert sum(later.values()) == 5


def test_the_command_counts_by_mode_before_and_after(settings: Settings, capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    async def live() -> None:
        async with shopping(settings, clock) as shopper:
            await fill(shopper)

    asyncio.run(live())
    capsys.readouterr()
    assert preview(settings, "strict", "demo", clock) == 0
    told = capsys.readouterr().out
    assert "demo: standard -> strict, 6 visitors with a record" in told
    rows = [line.split() for line in told.splitlines()]
    assert [row for row in rows if row[0] in set(Mode)] == [["cookieless", "1", "1"], ["persistent", "5", "3"], ["null", "0", "2"]]
    assert ["1", "FR", "persistent", "persistent_requested", "null", "no_signal"] in rows
    assert "Not seen: refusal cookies" in told
    assert "other" not in told
    assert preview(settings, "strict", None, clock) == 0
    assert "strict: strict -> strict, 0 visitors with a record" in capsys.readouterr().out


def test_a_shop_that_is_not_there_is_told(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert preview(settings, "strict", "nowhere") == 1
    assert "the settings have no such shop; they have demo, " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["preview"])
