"""Reports what is wrong with a live store, and what to set instead: total functions from what its servers report to findings. Also which
rows of the law were not checked for a year."""

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from urllib.parse import urlsplit

from identity_service.model.policy import STRICT
from identity_service.model.regions import region_table
from identity_service.model.shop import ShopId
from identity_service.ops.inspect import Inspection, Server, Shard, Writes
from identity_service.settings.schema import RegionSettings, ShopSettings
from identity_service.settings.store_url import parse_address
from identity_service.store.examine import unfit
from identity_service.store.keys import of_shop
from identity_service.store.redis.cluster import slot_of

SLOTS = 16_384
LONGEST_SKEW = 1.0
LONGEST_ROUND_TRIP = 0.005
MOST_MEMORY = 0.75
MOST_TIMEOUT = 0.2
SLOWEST_TAKEOVER_MS = 5_000
FEWEST_CLIENTS = 100
SHORTEST_BUSY_MS = 1_000
LATE = "a replica takes over too late"
UNCHECKED = {"ssl_cert_reqs=none", "ssl_cert_reqs=optional"}
LAW_CHECKED = timedelta(days=365)
"""How long a row of the law counts as checked."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`wrong`: a promise does not hold; else it is a warning. `place`: a server's; empty for the whole store."""

    place: str
    text: str
    wrong: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """A check of one `setting`. `fits` gets all settings of the server. `why`: the consequence if it does not fit. `instead`: what to
    set. `wrong`: as of a Finding."""

    setting: str
    fits: Callable[[Mapping[str, str]], bool]
    why: str
    instead: str
    wrong: bool = True


def _is(setting: str, value: str, why: str) -> Rule:
    return Rule(setting, lambda has: has.get(setting, value) == value, why, value or '""')


def _at_most(setting: str, limit: int, why: str) -> Rule:
    return Rule(setting, lambda has: 1 <= int(has.get(setting, limit)) <= limit, why, f"{limit} or less")


def _at_least(setting: str, least: int, why: str, *, wrong: bool = True) -> Rule:
    return Rule(setting, lambda has: int(has.get(setting, least)) >= least, why, f"{least} or more", wrong)


ALWAYS = (
    _is("appendonly", "yes", "a restart loses all data"),
    _is("appendfsync", "always", "a power cut loses acknowledged writes"),
    _is("no-appendfsync-on-rewrite", "no", "writes are not synced while the file is rewritten"),
    _is("save", "", "snapshots keep erased data"),
    _is("active-expire-effort", "10", "expired data stays in memory for days"),
    Rule(
        "slowlog-log-slower-than",
        lambda has: has.get("slowlog-log-slower-than", "-1") == "-1" or has.get("slowlog-max-len") == "0",
        "the slow log keeps what callers sent",
        "-1",
    ),
    _is("crash-log-enabled", "no", "a crash report quotes what callers sent"),
    _is("timeout", "0", "the server ends idle connections, and the call that meets such an end gets 503"),
    _at_least("auto-aof-rewrite-percentage", 1, "the append-only file grows until the disk is full"),
    _at_least("maxclients", FEWEST_CLIENTS, "too few connections for the workers, their restarts and replicas"),
    Rule(
        "busy-reply-threshold",
        lambda has: not 0 < int(has.get("busy-reply-threshold", 0)) < SHORTEST_BUSY_MS,
        "other calls are refused while a script runs",
        "5000",
    ),
    _at_least("hash-max-listpack-entries", 128, "links and records take several times the memory", wrong=False),
)
WITH_REPLICAS = (
    Rule("min-replicas-to-write", lambda has: has.get("min-replicas-to-write") != "0", "an isolated primary keeps accepting writes", "1"),
    _at_most("min-replicas-max-lag", 2, "a replica that is far behind still counts"),
)
IN_CLUSTER = (
    _is("cluster-require-full-coverage", "no", "one dead shard stops all others"),
    _at_most("cluster-node-timeout", SLOWEST_TAKEOVER_MS, LATE),
)


def diagnose(found: Inspection, url: str, replicas: int, timeout: float) -> list[Finding]:
    """`replicas` and `timeout`: the service's settings. Findings that are wrong come first."""
    findings = [Finding(place, f"does not answer ({why})") for place, why in found.silent.items()]
    for server in found.servers:
        findings += _of_server(server, replicas, timeout, failover=parse_address(url).topology != "single")
    for place, state in found.sentinels.items():
        findings += _of_sentinel(place, state)
    findings += [*_of_cluster(found.shards), *_of_primaries(found.sentinels), *_of_url(url, found.servers)]
    return sorted(findings, key=lambda finding: not finding.wrong)


def summary(found: Inspection) -> str:
    """Servers, round trip and write times in one line."""
    written = [seconds for server in found.servers if server.writes for seconds in server.writes.seconds]
    trip = max((server.round_trip for server in found.servers), default=0) * 1000
    servers = len(found.servers) + len(found.sentinels)
    figures = [f"{servers} server{'' if servers == 1 else 's'}", f"round trip {trip:.1f} ms"]
    if written:
        figures.append(f"durable write {median(written) * 1000:.1f} ms, slowest of {len(written)} {max(written) * 1000:.1f} ms")
    return ", ".join(figures)


def placement(found: Inspection, shops: Sequence[ShopId]) -> list[str]:
    """In a cluster, a line for each shard: its share of the shops and of the memory in use, which shops it holds, each with its slot, and
    which are being moved. Two that share a slot can never be parted."""
    slots = {shop: slot_of(of_shop(shop, "")) for shop in shops}
    used = {server.place: int(server.info["used_memory"]) for server in found.servers}
    total = sum(used.get(shard.primary, 0) for shard in found.shards)
    lines = []
    for shard in found.shards:
        held = [f"{shop} (slot {slot})" for shop, slot in slots.items() if slot in shard.slots]
        memory = f", {100 * used[shard.primary] / total:.0f} % of the memory in use" if shard.primary in used else ""
        lines.append(f"shard   {shard.primary} holds {len(held)} of {len(shops)} shops{memory}: {', '.join(held) or 'none'}")
        lines += [
            f"shard   {shop} is being moved to another shard; until the end, calls that make new keys of it get 503"
            for shop, slot in slots.items()
            if slot in shard.leaving
        ]
    shops_of = Counter(slots.values())
    shared = [shop for shop, slot in slots.items() if shops_of[slot] > 1]
    return lines + ([f"shard   {', '.join(shared)} share slots, and stay together wherever those go"] if found.shards and shared else [])


def unchecked_laws(shops: Mapping[str, ShopSettings], today: date) -> list[Finding]:
    """The regions that were not checked for a year: the shipped ones, if a shop's policy depends on them, and such a shop's own choices."""
    strict = {name: shop for name, shop in shops.items() if shop.policy == STRICT.name}
    old = [(name, row.revised) for name, row in region_table().items() if strict and today - row.revised > LAW_CHECKED]
    shipped = [
        Finding(
            "", f"the law of the region {name} was last checked on {day}; update the service, or check the row in strict.toml", wrong=False
        )
        for name, day in old
    ]
    own = [(f"shops.{name}.regions.{code}", region) for name, shop in strict.items() for code, region in shop.regions.items()]
    return shipped + [Finding("", f"{place} {fault}", wrong=False) for place, region in own if (fault := _unchecked(region, today))]


def _unchecked(region: RegionSettings, today: date) -> str | None:
    if not region.revised:
        return "has no day; check its law, and set revised"
    if today - date.fromisoformat(region.revised) > LAW_CHECKED:
        return f"was last checked on {region.revised}; check its law, and set revised"
    return None


def _of_server(server: Server, replicas: int, timeout: float, *, failover: bool) -> Iterator[Finding]:
    place = server.place
    for fault in unfit(server.info):
        yield Finding(place, fault)
    yield from _of_settings(server, replicas)
    yield from _of_memory(server)
    if abs(server.ahead) > LONGEST_SKEW:
        yield Finding(place, f"its clock differs by {server.ahead:+.1f} s from this machine's; set both by NTP")
    if server.forbidden:
        yield Finding(place, f"the login lacks rights that the service needs; grant them: ACL SETUSER … +{' +'.join(server.forbidden)}")
    if server.round_trip > LONGEST_ROUND_TRIP:
        yield Finding(place, f"a round trip takes {server.round_trip * 1000:.1f} ms; run the store nearer to the service", wrong=False)
    if server.writes:
        yield from _of_writes(place, server.writes, timeout)
        yield from _of_replicas(server, replicas, failover=failover)


def _of_settings(server: Server, replicas: int) -> Iterator[Finding]:
    clustered = server.info.get("cluster_enabled") == "1"
    rules = (*ALWAYS, *(WITH_REPLICAS if replicas else ()), *(IN_CLUSTER if clustered else ()))
    if server.config is None:
        wanted = ", ".join(f"{rule.setting} {rule.instead}" for rule in rules)
        text = f"does not show its settings to this login; add the URL of an operator's login to the command, or check by hand: {wanted}"
        yield Finding(server.place, text, wrong=False)
        return
    for rule in rules:
        if not rule.fits(server.config):
            has = server.config[rule.setting] or '""'
            yield Finding(server.place, f"{rule.setting} is {has}: {rule.why}; set {rule.setting} {rule.instead}", rule.wrong)


def _of_memory(server: Server) -> Iterator[Finding]:
    limit, used = int(server.info.get("maxmemory", 0)), int(server.info["used_memory"])
    if not limit:
        yield Finding(server.place, "maxmemory is not set, so the kernel may kill the server when memory runs out; set it", wrong=False)
    elif used > limit * MOST_MEMORY:
        yield Finding(server.place, f"{used / limit:.0%} of maxmemory is used, and writes fail when it is full; raise it")


def _of_writes(place: str, writes: Writes, timeout: float) -> Iterator[Finding]:
    if writes.refusal:
        yield Finding(place, f"refuses writes: {writes.refusal}")
    elif (slowest := max(writes.seconds)) > timeout * MOST_TIMEOUT:
        took = f"{slowest * 1000:.0f} ms, and store.timeout_seconds allows {timeout * 1000:.0f}"
        yield Finding(place, f"the slowest of {len(writes.seconds)} durable writes took {took}; use a faster disk", wrong=False)


def _of_replicas(server: Server, replicas: int, *, failover: bool) -> Iterator[Finding]:
    """Any replica may take over, even while another one still confirms writes of the old primary."""
    online = sum("state=online" in value for name, value in server.info.items() if name.startswith("slave"))
    needed = max(replicas, int(failover))
    if online < needed:
        yield Finding(server.place, f"has {online} of {needed} replicas; without them, writes are refused or lost; add replicas")
    elif online > replicas:
        text = f"store.replicas is {replicas}, but any of {online} replicas may take over and lack acknowledged writes; set it to {online}"
        yield Finding(server.place, text, wrong=failover and not replicas)


def _of_sentinel(place: str, state: Mapping[str, str]) -> Iterator[Finding]:
    sentinels, quorum = int(state["num-other-sentinels"]) + 1, int(state["quorum"])
    if sentinels < 3:
        yield Finding(place, f"knows {sentinels} of at least 3 sentinels; fewer cannot outvote one that is cut off; add sentinels")
    elif not sentinels // 2 < quorum < sentinels:
        yield Finding(place, f"quorum is {quorum} of {sentinels} sentinels; set it to {sentinels // 2 + 1}")
    if int(state["down-after-milliseconds"]) > SLOWEST_TAKEOVER_MS:
        yield Finding(
            place, f"down-after-milliseconds is {state['down-after-milliseconds']}: {LATE}; set it to {SLOWEST_TAKEOVER_MS} or less"
        )
    if "down" in state["flags"]:
        yield Finding(place, f"reports the primary as down ({state['flags']}); start it, or check the network between them")


def _of_cluster(shards: Sequence[Shard]) -> Iterator[Finding]:
    served = sum(len(shard.slots) for shard in shards)
    if shards and served < SLOTS:
        yield Finding("", f"{served} of the cluster's {SLOTS} slots are served; give the others to a primary (CLUSTER ADDSLOTSRANGE)")
    for shard in shards:
        host = _host(shard.primary)
        if not _is_near(host) and host in map(_host, shard.replicas):
            yield Finding(shard.primary, "a replica runs on its primary's host and fails with it; move it to another host", wrong=False)


def _of_url(url: str, servers: Sequence[Server]) -> Iterator[Finding]:
    """Findings about servers that others may reach, and about the network, which may be tapped."""
    address = parse_address(url)
    parts = urlsplit(address.servers[0] if address.topology == "single" else address.server("host", 6379))
    far = next((server.place for server in servers if not _is_near(_host(server.place))), None)
    if far and parts.scheme != "rediss":
        yield Finding(far, f"is reached without TLS; use {url.partition(':')[0].replace('redis', 'rediss', 1)}://", wrong=False)
    unguarded = far if far and not parts.password else next((server.place for server in servers if server.unguarded), None)
    if unguarded:
        text = "accepts connections without a password; make a user (ACL SETUSER), name it in store.url, and switch off the default one"
        yield Finding(unguarded, text, wrong=bool(far))
    if UNCHECKED & set(url.partition("?")[2].lower().split("&")):
        yield Finding("", "store.url: the certificate is not checked, so anybody between may read all; set ssl_cert_reqs=required")


def _of_primaries(sentinels: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
    primaries = {(state["ip"], state["port"]) for state in sentinels.values()}
    if len(primaries) > 1:
        yield Finding("", f"the sentinels name {len(primaries)} primaries; run SENTINEL RESET on those that are behind")


def _host(place: str) -> str:
    """The host of a server's place. Empty for a socket."""
    return "" if place.startswith("/") else place.rpartition(":")[0].strip("[]")


def _is_near(host: str) -> bool:
    """Whether it is this machine. A name does not count, because its address may change."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host in {"", "localhost"}
