"""The doctor, on real servers: silent about those that are set as the shipped file says, and naming each setting that differs."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import pytest
import redis

from identity_service.cli import main
from identity_service.model.regions import region_table
from identity_service.model.shop import ShopId
from identity_service.ops.doctor import diagnose, placement, unchecked_laws
from identity_service.ops.inspect import CLUSTERED, COMMANDS, REPLICATED, Inspection, Server, Shard, inspect
from identity_service.settings.schema import RegionSettings, ShopSettings
from identity_service.store.embedded import EmbeddedStore
from identity_service.store.keys import SCHEMA
from identity_service.store.schema import schema_of
from tests.stores import valkey
from tests.test_floors import PACKAGE
from tests.topologies import SERVICE, Cluster, Sentinels, cluster, free_port, sentinels

STATED = re.findall(r"^#     ([a-z-]+) (.+)$", (Path(__file__).parent.parent.parent / "config/production.toml").read_text(), re.MULTILINE)
MEMORY = ("--maxmemory", "100mb")
CHECKED = max(row.revised for row in region_table().values())
A_YEAR = timedelta(days=365)


def flags(**settings: str) -> list[str]:
    """Those that the shipped file states for one server, except `settings`."""
    stated = {name: value for name, value in STATED if not name.startswith(("min-", "cluster-", "sentinel", "user"))}
    changed = {name.replace("_", "-"): value for name, value in settings.items()}
    return [word for name, value in (stated | changed).items() for word in (f"--{name}", value.strip('"'))]


def flags_with(*beginnings: str) -> list[str]:
    """Those, and more that the file states."""
    more = [word for name, value in STATED if name.startswith(beginnings) for word in (f"--{name}", value)]
    return [*flags(), *MEMORY, *more]


Told = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Told:
    """Exit code and lines of the doctor, with `replicas` as the setting of the service."""

    def consult(url: str, replicas: int = 0, today: date = CHECKED) -> tuple[int, list[str]]:
        monkeypatch.setenv("IDENTITY_STORE__REPLICAS", str(replicas))
        monkeypatch.setenv("IDENTITY_STORE__TIMEOUT_SECONDS", "10")  # a busy machine's disk is slow
        code = main(["doctor", url], today=lambda: today)
        out, err = capsys.readouterr()
        return code, (out + err).splitlines()

    return consult


def wrong(lines: list[str]) -> list[str]:
    return [line.removeprefix("wrong   ") for line in lines if line.startswith("wrong ")]


def test_a_server_set_as_the_shipped_file_says_is_fit(told: Told) -> None:
    with valkey(*flags(), *MEMORY) as url:
        code, lines = told(url)
    assert code == 0
    assert len(lines) == 1
    assert re.fullmatch(r"1 server, round trip [\d.]+ ms, durable write [\d.]+ ms, slowest of 50 [\d.]+ ms", lines[0])


@pytest.mark.parametrize(
    ("setting", "value", "instead"),
    [
        ("maxmemory-policy", "allkeys-lru", "set it to noeviction"),
        ("appendonly", "no", "set appendonly yes"),
        ("appendfsync", "everysec", "set appendfsync always"),
        ("active-expire-effort", "1", "set active-expire-effort 10"),
        ("no-appendfsync-on-rewrite", "yes", "set no-appendfsync-on-rewrite no"),
        ("save", "3600 1", 'set save ""'),
        ("slowlog-log-slower-than", "10000", "set slowlog-log-slower-than -1"),
        ("crash-log-enabled", "yes", "set crash-log-enabled no"),
    ],
)
def test_each_wrong_setting_is_named_with_what_to_set(setting: str, value: str, instead: str, told: Told) -> None:
    with valkey(*flags(**{setting: value}), *MEMORY) as url:
        code, lines = told(url)
    assert code == 1
    [line] = wrong(lines)
    assert setting in line
    assert line.endswith(instead)


def test_settings_that_harm_a_store_later_are_named_with_what_to_set(told: Told) -> None:
    harmful = {"timeout": 1, "auto_aof_rewrite_percentage": 0, "maxclients": 30, "busy_reply_threshold": 1}
    with valkey(*flags(**{name: str(value) for name, value in harmful.items()}), *MEMORY, "--hash-max-listpack-entries", "0") as url:
        code, lines = told(url)
    assert code == 1
    assert [re.sub(r".* (\S+ is \d+): .*; (set .*)", r"\1, \2", line) for line in wrong(lines)] == [
        "timeout is 1, set timeout 0",
        "auto-aof-rewrite-percentage is 0, set auto-aof-rewrite-percentage 1 or more",
        "maxclients is 30, set maxclients 100 or more",
        "busy-reply-threshold is 1, set busy-reply-threshold 5000",
    ]
    [warning] = [line for line in lines if line.startswith("warning")]
    assert "hash-max-listpack-entries is 0: links and records take several times the memory" in warning


def test_a_store_of_another_pepper_is_wrong(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    with valkey(*flags(), *MEMORY) as url:
        with redis.Redis.from_url(url) as client:
            client.hset(SCHEMA, mapping=schema_of(["another-pepper-of-forty-characters-or-more-1"]).fields())
        code, lines = told(url)
    assert code == 1
    [line] = wrong(lines)
    assert "secrets.pepper: is not the one that this store was written under" in line


def test_a_server_without_a_password_and_a_certificate_that_is_not_checked_are_named(told: Told) -> None:
    port = free_port()
    with valkey(*flags(), *MEMORY, "--port", str(port)):
        code, [line, _] = told(f"redis://127.0.0.1:{port}")
    assert (code, line.split(" ")[:2]) == (0, ["warning", f"127.0.0.1:{port}"])
    assert "accepts connections without a password" in line
    texts = [one.text for one in diagnose(Inspection(), "rediss://u:p@10.0.0.1?ssl_cert_reqs=none", 0, 1)]
    assert any("the certificate is not checked" in text for text in texts)


def test_memory_without_a_limit_is_a_warning_and_a_full_one_is_wrong(told: Told) -> None:
    with valkey(*flags()) as url:
        code, lines = told(url)
        assert code == 0
        assert "maxmemory is not set" in lines[0]
        with redis.Redis.from_url(url) as client:
            client.config_set("maxmemory", client.info("memory")["used_memory"] * 10 // 9)
            code, lines = told(url)
    assert code == 1
    [line] = wrong(lines)
    assert re.search(r"\d\d% of maxmemory is used", line)


def test_the_login_that_the_shipped_file_states_is_enough(told: Told, tmp_path: Path) -> None:
    [login] = [value for name, value in STATED if name == "user"]
    with valkey(*flags(), *MEMORY, "--user", *login.split()) as url:
        assert told(f"{url.replace('unix://', 'unix://identity:PASSWORD@')}")[0] == 0


def test_rights_that_a_login_lacks_are_named(told: Told) -> None:
    with valkey(*flags(), *MEMORY, "--user", *["few", "on", ">few", "~id:v?:*", "+@all", "-evalsha", "-hset", "-config"]) as url:
        code, lines = told(url.replace("unix://", "unix://few:few@"))
        assert code == 1
        [line] = wrong(lines)
        assert line.endswith("+evalsha +hset")
        assert any("check by hand: appendonly yes, appendfsync always" in line for line in lines)
        with redis.Redis.from_url(url) as client:
            assert client.keys("*") == [b"id:v2:{probe-0}"]
            assert 0 < client.ttl("id:v2:{probe-0}") <= 60


def test_keys_that_a_login_may_not_touch_are_noticed(told: Told) -> None:
    with valkey(*flags(), *MEMORY, "--user", *["few", "on", ">few", "~other:*", "+@all"]) as url:
        assert any("refuses writes" in line for line in wrong(told(url.replace("unix://", "unix://few:few@"))[1]))


def test_nothing_there_or_another_password_or_a_wrong_url_ends_with_2(told: Told, tmp_path: Path) -> None:
    assert told(f"unix://{tmp_path}/s.sock")[0] == 2
    assert told(f"embedded:{tmp_path}") == (2, [f"store.url: no store runs in {tmp_path}; start the service on it first"])
    assert told("http://localhost")[0] == 2
    assert told(f"redis+sentinel://127.0.0.1:{free_port()}/main")[0] == 2
    assert told(f"redis+cluster://127.0.0.1:{free_port()}")[0] == 2
    with valkey("--user", "some", "on", ">secret", "+@all") as url:
        code, lines = told(url.replace("unix://", "unix://some:other@"))
    assert code == 2
    assert "other" not in str(lines)


def test_the_embedded_store_is_fit_while_it_runs(told: Told, tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    store.start()
    try:
        code, lines = told(f"embedded:{tmp_path}")
    finally:
        store.stop()
    assert code == 0
    assert len(lines) == 1


@pytest.fixture(scope="module")
def watched() -> Iterator[Sentinels]:
    with sentinels(*flags_with("min-")) as made:
        yield made


@pytest.fixture(scope="module")
def sharded() -> Iterator[Cluster]:
    with cluster(*flags_with("min-", "cluster-")) as made:
        yield made


def test_sentinels_as_the_shipped_file_says_are_fit(watched: Sentinels, told: Told) -> None:
    code, lines = told(watched.url, 2)
    assert (code, len(lines)) == (0, 1)
    assert lines[0].startswith("6 servers, ")


def test_a_cluster_as_the_shipped_file_says_is_fit(sharded: Cluster, told: Told) -> None:
    code, lines = told(sharded.url, 1)
    assert (code, len(lines)) == (0, 5)
    assert "without a password" in lines[0]
    assert lines[-1].startswith("6 servers, ")


def test_a_service_that_waits_for_fewer_replicas_than_may_take_over_is_wrong(watched: Sentinels, sharded: Cluster, told: Told) -> None:
    code, [line, _] = told(watched.url, 1)
    assert (code, line.split(" ")[0]) == (0, "warning")
    assert line.endswith("store.replicas is 1, but any of 2 replicas may take over and lack acknowledged writes; set it to 2")
    assert len(wrong(told(watched.url)[1])) == 1
    assert sum(line.endswith("set it to 1") for line in wrong(told(sharded.url)[1])) == 3


def test_settings_of_every_server_count_replicas_too(watched: Sentinels, told: Told) -> None:
    replica = watched.data[2]
    replica.ask("CONFIG", "SET", "appendfsync", "everysec")
    watched.data[0].ask("CONFIG", "SET", "min-replicas-max-lag", 10)
    found = wrong(told(watched.url, 2)[1])
    replica.ask("CONFIG", "SET", "appendfsync", "always")
    watched.data[0].ask("CONFIG", "SET", "min-replicas-max-lag", 2)
    assert sorted(line.split(" ")[0] for line in found) == sorted([replica.place, watched.data[0].place])


def test_wrong_sentinels_are_named(watched: Sentinels, told: Told) -> None:
    first, second = watched.watching[:2]
    first.ask("SENTINEL", "SET", SERVICE, "quorum", 1)
    second.ask("SENTINEL", "SET", SERVICE, "down-after-milliseconds", 30_000)
    found = wrong(told(watched.url, 2)[1])
    first.ask("SENTINEL", "SET", SERVICE, "quorum", 2)
    second.ask("SENTINEL", "SET", SERVICE, "down-after-milliseconds", 1000)
    assert f"{first.place} quorum is 1 of 3 sentinels; set it to 2" in found
    assert f"{second.place} down-after-milliseconds is 30000: a replica takes over too late; set it to 5000 or less" in found


def test_a_silent_replica_is_named_and_a_missing_one_counted(watched: Sentinels, told: Told) -> None:
    replica = watched.data[1]
    replica.hold()
    found = wrong(told(watched.url, 2)[1])
    replica.release()
    assert [line for line in found if line.startswith(f"{replica.place} does not answer")]
    assert any("of 3 replicas" in line for line in wrong(told(watched.url, 3)[1]))


def test_wrong_settings_of_a_cluster_are_named(sharded: Cluster, told: Told) -> None:
    server = sharded.data[0]
    server.ask("CONFIG", "SET", "cluster-require-full-coverage", "yes")
    server.ask("CONFIG", "SET", "cluster-node-timeout", 15_000)
    found = wrong(told(sharded.url, 1)[1])
    server.ask("CONFIG", "SET", "cluster-require-full-coverage", "no")
    server.ask("CONFIG", "SET", "cluster-node-timeout", 2000)
    assert [line.partition(": ")[0] for line in found] == [
        f"{server.place} cluster-require-full-coverage is yes",
        f"{server.place} cluster-node-timeout is 15000",
    ]


def test_slots_that_nobody_serves_are_counted(sharded: Cluster, told: Told) -> None:
    sharded.data[0].ask("CLUSTER", "DELSLOTS", 7)
    found = wrong(told(sharded.url, 1)[1])
    sharded.data[0].ask("CLUSTER", "ADDSLOTS", 7)
    assert any("16383 of the cluster's 16384 slots are served" in line for line in found)


def test_what_one_machine_cannot_show(sharded: Cluster) -> None:
    """Findings of servers that are elsewhere, whose clock or network differs."""
    found = inspect(sharded.url, 1, 1)
    elsewhere = {server.place: f"10.0.0.{number}:6379" for number, server in enumerate(found.servers)}
    far = [replace(server, place=elsewhere[server.place], ahead=-3.0, round_trip=0.02) for server in found.servers]
    shards = [Shard("10.0.0.1:6379", ["10.0.0.1:6380"], range(16_384))]
    texts = [f"{one.place} {one.text}" for one in diagnose(Inspection(far, {}, shards), "redis+cluster://u:@10.0.0.1", 1, 1)]
    assert sum("its clock differs by -3.0 s from this machine's" in text for text in texts) == 6
    assert sum("a round trip takes 20.0 ms" in text for text in texts) == 6
    assert any("runs on its primary's host" in text for text in texts)
    assert any("without TLS; use rediss+cluster://" in text for text in texts)
    assert any("without a password" in text for text in texts)


def test_the_shard_of_each_shop_is_shown() -> None:
    """The slots are those of `CLUSTER KEYSLOT`."""
    shards = [Shard("10.0.0.1:6379", [], range(8_000), [5061]), Shard("10.0.0.2:6379", [], range(8_000, 16_384))]
    told = placement(Inspection(shards=shards), [ShopId("demo"), ShopId("foo"), ShopId("bar")])
    assert told == [
        "shard   10.0.0.1:6379 holds 2 of 3 shops: demo (slot 903), bar (slot 5061)",
        "shard   bar is being moved to another shard; until the end, calls that make new keys of it get 503",
        "shard   10.0.0.2:6379 holds 1 of 3 shops: foo (slot 12182)",
    ]
    servers = [Server(shard.primary, {"used_memory": used}, {}, 0, 0, (), None) for shard, used in zip(shards, ("300", "100"), strict=True)]
    told = placement(Inspection(servers, shards=shards), [ShopId("demo")])
    assert told[0] == "shard   10.0.0.1:6379 holds 1 of 1 shops, 75 % of the memory in use: demo (slot 903)"
    assert told[1] == "shard   10.0.0.2:6379 holds 0 of 1 shops, 25 % of the memory in use: none"
    assert placement(Inspection(), [ShopId("demo")]) == []


OF_A_MOVE = {"read_key", "copy_key"}
"""An operator's own login sends them."""


def test_the_commands_examined_are_those_that_the_service_sends() -> None:
    sources = "".join(path.read_text() for path in PACKAGE.glob("store/**/*.py"))
    scripts = "".join(path.read_text() for path in PACKAGE.rglob("*.lua") if path.stem not in OF_A_MOVE)
    sent = {*re.findall(r'\b(?:read|write)\("([A-Z]+)"', sources), *re.findall(r"redis\.p?call\('([A-Za-z]+)'", scripts)}
    examined = {command[0] for command in (*COMMANDS, *REPLICATED, *CLUSTERED)}
    assert {name.upper() for name in sent} - examined <= {"SENTINEL"}
    assert examined - {name.upper() for name in sent} <= {"EVAL", "EVALSHA", "WAIT", "CLUSTER"}


def laws(today: date, policy: Literal["standard", "strict"] = "strict", **days: str) -> list[str]:
    regions = {code: RegionSettings(no_signal="null", revised=day) for code, day in days.items()}
    shops = {"outlet": ShopSettings(public_keys=[], private_keys=[], policy=policy, regions=regions)}
    findings = unchecked_laws(shops, today)
    assert not any(finding.wrong for finding in findings)
    return [finding.text for finding in findings]


def test_every_row_of_the_law_is_named_once_it_is_older_than_a_year() -> None:
    assert laws(CHECKED + A_YEAR) == []
    told = laws(CHECKED + A_YEAR + timedelta(days=1))
    old = [name for name, row in region_table().items() if row.revised == CHECKED]
    assert [f"the region {name} was last checked on {CHECKED}; " in text for name, text in zip(old, told, strict=True)] == [True] * len(old)


def test_a_shops_own_region_is_named_if_it_is_older_than_a_year_or_has_no_day() -> None:
    year_ago = CHECKED - A_YEAR
    assert laws(CHECKED, FR=str(year_ago), BR=str(year_ago - timedelta(days=1)), GB="") == [
        f"shops.outlet.regions.BR was last checked on {year_ago - timedelta(days=1)}; check its law, and set revised",
        "shops.outlet.regions.GB has no day; check its law, and set revised",
    ]


def test_without_a_shop_whose_policy_depends_on_regions_no_law_is_named() -> None:
    assert laws(CHECKED + 2 * A_YEAR, policy="standard", FR="") == []


def test_old_laws_are_warnings_of_the_command(told: Told) -> None:
    with valkey(*flags(), *MEMORY) as url:
        code, lines = told(url, today=CHECKED + 2 * A_YEAR)
    assert code == 0
    assert [line for line in lines if line.startswith("warning the law of the region europe was last checked on")]
