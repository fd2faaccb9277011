"""`measurement` is switched off while the service runs: with a real supervisor and two workers."""

import json
import os
import signal
from pathlib import Path

import redis

from identity_service.settings.load import config_directory
from tests.stores import view
from tests.test_command import Service, descendants, eventually, served

KEY = "strict-private-key"
DEVELOPMENT = (config_directory() / "development.toml").read_text()
COUNTING = DEVELOPMENT.replace('policy = "strict"\n', 'policy = "strict"\nmeasurement = "exempt"\n')


def come(service: Service, numbers: range) -> set[bool]:
    """Visitors who say nothing. Returns whether they were counted. Each call has a connection of its own, so both workers get some."""
    counted = set()
    for number in numbers:
        client = {"ip": f"198.51.100.{number}", "user_agent": f"Mozilla/5.0 silent-{number}"}
        status, answer = service.call("/v1/visitors", {"client": client}, KEY)
        assert (status, answer["mode"]) == (200, "null")
        counted.add("counted" in answer)
        for call, said in (("click", {"product": 1, "labels": ["Home"]}), ("sale", {"sale": f"S-{number}", "products": [1]})):
            assert service.call(f"/v2/log/{call}", {"visitor": None, "counted": True} | said, KEY)[0] == 200
    return counted


def kept(database: redis.Redis) -> dict[str, str]:
    """All that the store has of such visitors: figures, what waits for its ten, and sketches."""
    found = {str(key): str(database.get(key)) for key in database.scan_iter("*{strict}:sketch:*")}
    for kind in ("remainders", "day", "hour"):
        for key in database.scan_iter(f"*{{strict}}:{kind}:*"):
            fields = database.hgetall(key).items()
            found |= {f"{key!s} {name!s}": str(text) for name, text in fields if kind == "remainders" or str(name).startswith("silent")}
    return found


def workers(service: Service) -> set[int]:
    return {pid for pid in descendants(service.process.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def test_from_the_reload_on_nothing_is_counted_while_the_old_workers_still_serve(tmp_path: Path) -> None:
    """Nor when these end, which writes what other counters hold."""
    named = tmp_path / "settings.toml"
    named.write_text(COUNTING)
    with (
        served(tmp_path, "--config", str(named), "--workers", "2", IDENTITY_LIMITS__ENABLED="false") as service,
        view(f"unix://{tmp_path}/data/server.sock") as database,
    ):
        old = workers(service)
        assert come(service, range(12)) == {True}
        assert eventually(lambda: any(name.endswith("silent orders") for name in kept(database)))
        named.write_text(DEVELOPMENT)
        os.kill(service.process.pid, signal.SIGHUP)
        assert eventually(lambda: "no longer counted" in service.log.read_text())
        assert workers(service) >= old, "both still serve"
        before = kept(database)
        assert come(service, range(12, 40)) == {False}
        assert eventually(lambda: len(workers(service)) == 2 and not old & workers(service))
        assert come(service, range(40, 52)) == {False}
    with served(tmp_path, "--config", str(named)), view(f"unix://{tmp_path}/data/server.sock") as database:
        assert kept(database) == before
    [told] = [json.loads(line) for line in service.log.read_text().splitlines() if "no longer counted" in line]
    assert told["shops"] == ["strict"]
