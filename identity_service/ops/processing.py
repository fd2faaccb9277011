"""What the settings of a shop say about its processing of personal data: the facts that its papers state.

No secret is among them. Of keys they have numbers, names and scopes, of the store its address without login.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlsplit

from msgspec.structs import replace

from identity_service.model.cookieless import GRACE
from identity_service.model.policy import STANDARD, STRICT, Policy, Rules
from identity_service.model.receipt_key import read_keys
from identity_service.model.regions import ELSEWHERE, STRICTNESS, UNKNOWN, Region, looser_choices, region_table, strict_policy
from identity_service.model.shop import Shop, is_loopback, shop_of
from identity_service.model.utc import DAY, HOUR
from identity_service.model.visitor import LAPSED, Mode
from identity_service.settings.schema import LimitSettings, RegionSettings, RetentionSettings, ServerSettings, Settings, ShopSettings
from identity_service.settings.store_url import EMBEDDED, parse_address, store_name
from identity_service.store.counters import CALLS_LIFE, COUNTERS_LIFE, MOST_CALLS
from identity_service.store.days import GRACE as SKETCH_GRACE
from identity_service.store.sessions import LONGEST
from identity_service.version import VERSION
from identity_service.web.cookies import REFUSAL_LIFE, refusal_name

REMOVALS_DAYS = 30
"""That a removed visitor is listed for other systems, by `store/lua/parts/removals.lua`."""
ID_OF = {Mode.NULL: "no ID", Mode.COOKIELESS: "a cookieless ID"}


@dataclass(frozen=True, slots=True)
class KeptKind:
    """A kind of what is kept. `setting`: empty where no setting decides."""

    what: str
    period: str
    setting: str = ""


@dataclass(frozen=True, slots=True)
class RegionRow:
    """What a visitor of a region gets, in words. `chosen`: by the shop, for the reason that follows."""

    name: str
    places: str
    no_signal: str
    refusal: str
    opted_out: str
    revised: str = ""
    chosen: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OpenPoint:
    """What a setting leaves open, and what to set instead."""

    setting: str
    leaves: str
    instead: str


@dataclass(frozen=True, slots=True)
class Processing:
    """`own`, `server`: the settings of the shop and of the server. `private_keys`: how many have every scope. `stricter`: rows and codes to
    which the shipped `strict` gives no ID before a choice, where this shop gives one. `receipts_verifiable`: a key signs receipts for
    everybody today."""

    today: date
    version: str
    name: str
    own: ShopSettings
    policy: Policy
    server: ServerSettings
    limits: LimitSettings
    retention: RetentionSettings
    store: str
    store_is_remote: bool
    store_is_private: bool
    replicas: int
    peppers: int
    private_keys: int
    lists_removals: bool
    receipts_verifiable: bool
    kept: list[KeptKind]
    rows: list[RegionRow]
    stricter: list[str]
    open_points: list[OpenPoint]


def processing_of(settings: Settings, name: str, today: date) -> Processing:
    shop, own, store = shop_of(name, settings.shops[name]), settings.shops[name], settings.store
    verifiable = any(key.signs_on(today) for key in read_keys(settings.secrets.receipt_keys))
    stricter = _stricter(shop)
    points = [
        *_of_policy(shop, settings.server.region_header, stricter),
        *_of_proof(own, receipts_verifiable=verifiable),
        *_of_access(own, settings.server, settings.limits),
        *_of_store(store.url, store.replicas),
    ]
    return Processing(
        today=today,
        version=VERSION,
        name=name,
        own=replace(shop.settings, removals_key="", keys={key: replace(one, sha256="") for key, one in own.keys.items()}),
        policy=shop.policy,
        server=settings.server,
        limits=settings.limits,
        retention=settings.retention,
        store=store_name(store.url),
        store_is_remote=_is_remote(store.url),
        store_is_private=_is_private(store.url),
        replicas=store.replicas,
        peppers=len(settings.secrets.peppers),
        private_keys=len(own.private_keys),
        lists_removals=bool(own.removals_key),
        receipts_verifiable=verifiable,
        kept=list(_kept(shop, settings.retention, lists_removals=bool(own.removals_key), limited=settings.limits.enabled)),
        rows=_region_rows(shop),
        stricter=stricter,
        open_points=points,
    )


def days(number: int) -> str:
    return "1 day" if number == 1 else f"{number:,} days"


def _kept(shop: Shop, kept: RetentionSettings, *, lists_removals: bool, limited: bool) -> Iterator[KeptKind]:
    own, consent, grace = shop.settings, days(kept.consent_days), f"{GRACE // 60} minutes"
    window = f"its window of {days(own.window_days)}"
    yield KeptKind(f"Cookie `{own.cookie_name}` on the device, with the signed ID", f"{consent} from the grant", "retention.consent_days")
    lasts = f"{days(REFUSAL_LIFE // DAY)}; it refuses for {days(kept.refusal_days)}, and then only outweighs older grants"
    refusal = f"Cookie `{refusal_name(shop.cookie)}` on the device, with the minute of a refusal"
    yield KeptKind(refusal, lasts, "retention.refusal_days")
    lapsed = f"{consent} from the grant, and {days(LAPSED // DAY)} more without its effect; an ended link leaves within two days"
    yield KeptKind("Record of a visitor who granted, and its links to emails and customer IDs", lapsed, "retention.consent_days")
    yield KeptKind("Events of a visitor who granted", f"{consent} from the grant", "retention.consent_days")
    held = "Events and links" if Mode.COOKIELESS in shop.policy.linkable else "Events"
    yield KeptKind(f"{held} of a cookieless visitor", f"{window}, and at most {grace} more", "window_days")
    yield KeptKind("Salt from which cookieless IDs are derived", f"{window}, and {grace} more", "window_days")
    gone = f"{days(kept.gone_days)}; of a derived ID until its window ends, but an hour at least"
    yield KeptKind("Mark of a withdrawn or erased visitor", gone, "retention.gone_days")
    yield KeptKind("Receipt of a choice", f"{days(kept.receipt_days)}, and a day more at most", "retention.receipt_days")
    yield KeptKind(
        "Order, and its places in the lists of visitor and email", f"{days(kept.sale_days)} from the order", "retention.sale_days"
    )
    audit = "Entry of the audit: a digest of the person, and the name of the key or the member of staff who looked or acted"
    yield KeptKind(audit, f"{days(kept.audit_days)}, also after an erasure", "retention.audit_days")
    yield KeptKind("Session of a member of staff, with the name", f"{LONGEST // HOUR} hours from the sign-in at most")
    if lists_removals:
        yield KeptKind("Digest of a removed visitor, for systems that hold copies", days(REMOVALS_DAYS), "removals_key")
    yield KeptKind("Log of tracking calls, without IDs", f"the newest {MOST_CALLS:,}, until {days(CALLS_LIFE // DAY)} after the last")
    yield KeptKind("Hourly figures, labels and products of the shop, without IDs", f"{days(COUNTERS_LIFE // DAY)} after the last")
    if shop.counts_silent:
        silent = "Figures of visitors who said nothing, in whole tens, without IDs"
        yield KeptKind(silent, f"{days(COUNTERS_LIFE // DAY)} after the last", "measurement")
    yield KeptKind("Salt of a day, and what counts its distinct visitors under it", f"until {SKETCH_GRACE // 60} minute after the day")
    if limited:
        yield KeptKind("Counts of calls by caller, in memory, under a keyed hash", "until the service restarts", "limits.enabled")


def _region_rows(shop: Shop) -> list[RegionRow]:
    """One for `standard`. For `strict`, each row of the table, and each code for which the shop chose by itself."""
    if shop.policy.name == STANDARD.name:
        return [_row("everywhere", shop.policy.elsewhere, revised="against no law")]
    table, changes = region_table(), shop.settings.regions
    of_rows = {name: change for name, change in changes.items() if name in table}
    codes = {code.upper(): change for code, change in changes.items() if code not in table}
    by_row = strict_policy(of_rows)
    found = []
    for name, row in table.items():
        places = ", ".join(place for place in row.places if place not in codes)
        found.append(_row(name, _rules_of(by_row, name, row), of_rows.get(name), places, str(row.revised)))
    return found + [_row(code, shop.policy.rules(code), change) for code, change in codes.items()]


def _rules_of(policy: Policy, name: str, row: Region) -> Rules:
    return {UNKNOWN: policy.unknown, ELSEWHERE: policy.elsewhere}.get(name) or policy.rules(row.places[0])


def _row(name: str, rules: Rules, change: RegionSettings | None = None, places: str = "", revised: str = "") -> RegionRow:
    outcomes = (ID_OF[rules.no_signal], ID_OF[rules.refusal], ID_OF[rules.opted_out])
    if change is None:
        return RegionRow(name, places, *outcomes, revised)
    return RegionRow(name, places, *outcomes, change.revised, chosen=True, reason=change.reason)


def _stricter(shop: Shop) -> list[str]:
    if shop.policy.name == STRICT.name:
        return [choice.removesuffix(".no_signal") for choice in looser_choices(shop.settings.regions) if choice.endswith(".no_signal")]
    given = STRICTNESS[shop.policy.elsewhere.no_signal]
    return [name for name, row in region_table().items() if STRICTNESS[Mode(row.no_signal)] < given]


def _of_policy(shop: Shop, region_header: str, stricter: list[str]) -> Iterator[OpenPoint]:
    own = shop.settings
    if shop.policy.name == STANDARD.name:
        leaves = f"visitors of {', '.join(stricter)} get a cookieless ID before a choice; the shipped `strict` gives them none"
        yield OpenPoint("policy", leaves, "`strict`")
    if shop.policy.persistent_is_consent:
        yield OpenPoint("policy", "a call of the shop's server can state a grant that the person did not give", "`strict`")
    if shop.policy.linkable > {Mode.PERSISTENT}:
        yield OpenPoint("policy", "a cookieless ID can be linked to an email without a grant", "`strict`")
    if shop.policy.may_bridge and own.continuity == "bridge":
        yield OpenPoint("continuity", "after a grant, the events of the cookieless session before it count, too", "`fresh`")
    for choice in looser_choices(own.regions) if shop.policy.name == STRICT.name else ():
        reason = own.regions[choice.partition(".")[0]].reason
        yield OpenPoint(f"regions.{choice}", f"the choice is looser than the shipped row; your reason: {reason}", "the shipped row")
    if shop.policy.name == STRICT.name and not region_header:
        leaves = "a visitor has the region that your own calls state in `client.region`; without one it counts as unknown"
        yield OpenPoint("server.region_header", leaves, "the header of your proxy")
    if own.window_days > 1:
        yield OpenPoint(
            "window_days", f"a cookieless ID lasts {days(own.window_days)}, and strangers behind one address share it so long", "1"
        )
    if own.cookie_domain:
        yield OpenPoint("cookie_domain", f"the visitor cookie is sent to every host under {own.cookie_domain}", "empty")


def _of_proof(own: ShopSettings, *, receipts_verifiable: bool) -> Iterator[OpenPoint]:
    if not receipts_verifiable:
        yield OpenPoint("secrets.receipt_keys", "nobody but the service can verify a receipt made today", "a key that signs today")
    if not own.notice:
        yield OpenPoint("notice", "receipts do not name the notice that the person saw", "the address of the notice")
    if not own.consent_version:
        yield OpenPoint("consent_version", "a grant to an earlier text counts after the text has changed", "the version of the text")
    if not own.removals_key:
        yield OpenPoint("removals_key", "systems that hold copies do not learn of a withdrawal or an erasure", "a key that they share")
    if own.accept_unsigned:
        yield OpenPoint("accept_unsigned", "anybody who has seen an ID can log events under it", "false")
    if own.link_overrides:
        yield OpenPoint("link_overrides", "an ID that was typed into an address for a test can be linked to an email", "false")


def _of_access(own: ShopSettings, server: ServerSettings, limits: LimitSettings) -> Iterator[OpenPoint]:
    if own.private_keys:
        yield OpenPoint("private_keys", f"keys without a name may do everything, export and erase too ({len(own.private_keys)})", "`keys`")
    if not server.production:
        yield OpenPoint("server.production", "demo keys, public secrets and http origins are accepted", "true")
    if not server.internal_port:
        yield OpenPoint("server.internal_port", "metrics, manual and admin pages are on the port of the visitors", "a port of its own")
    if not server.security_contact:
        yield OpenPoint("server.security_contact", "who finds a vulnerability is not told whom to write to", "an address")
    if not limits.enabled:
        yield OpenPoint("limits.enabled", "nobody who calls too often, or tries keys, is stopped", "true")


def _of_store(url: str, replicas: int) -> Iterator[OpenPoint]:
    if not _is_private(url):
        yield OpenPoint("store.url", "data goes to the store unencrypted", "an address with TLS (`rediss`)")
    if _is_remote(url) and not replicas:
        yield OpenPoint("store.replicas", "a failover of the store can lose the last writes, a withdrawal too", "1 or more")


def _is_remote(url: str) -> bool:
    return not url.startswith((EMBEDDED, "unix:"))


def _is_private(url: str) -> bool:
    """Whether nobody on a network can read what goes to the store: it is encrypted, or stays on this machine."""
    if not _is_remote(url) or url.startswith("rediss"):
        return True
    return all(is_loopback(urlsplit(server).hostname or "") for server in parse_address(url).servers)
