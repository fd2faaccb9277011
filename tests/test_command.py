"""The command, run as a user runs it: real processes, real sockets, the embedded store."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import redis

from identity_service.server.supervisor import CannotListen, bind, run_workers
from identity_service.settings.load import config_directory, load
from identity_service.store.keys import SCHEMA
from tests.stores import PATIENT_STORE, valkey

LEAN = {"PYTHONPATH": str(Path(__file__).parent / "lean")}
"""Environment of a service that starts without what only the tests' tools need."""
PATIENCE = 180
"""Seconds until what must come has come, on a machine that is busy with other things."""
SEED = {"key": "demo-public-key", "sale": 567, "products": [{"id": 12793, "price": 99.95, "quantity": 2}], "email": "luke@skywalker.com"}


class Service:
    """A running service, its base URL, and what it writes to standard error."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        assert process.stdout is not None
        self.process = process
        self.log = log
        line = process.stdout.readline()
        assert line.startswith("listening on http://"), log.read_text()
        self.url = line.removeprefix("listening on ").strip()

    def call(self, path: str, body: object = None, key: str = "demo-private-key") -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Authorization": f"Bearer {key}"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())


def descendants(pid: int) -> dict[int, str]:
    """Names of a process's children, by their IDs. Those who wait for a change ask often, so not every process of the machine is read."""
    found = {}
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # the thread has just ended
            for child in listed.read_text().split():
                with suppress(OSError):  # and so has the child
                    found[int(child)] = Path(f"/proc/{child}/comm").read_text().strip()
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(directory: Path, *flags: str, command_name: str = "serve", data: str | None = "data", **environment: str) -> Iterator[Service]:
    """`data`: in `directory`; None: as the settings say, and so is the port then. On a busy machine the store may be slow without fault."""
    command = [sys.executable, "-m", "identity_service", command_name, *flags]
    if data:
        command += ["--port", str(free_port()), "--data", str(directory / data)]
    log = directory / "log"
    told = os.environ | LEAN | PATIENT_STORE | environment
    with log.open("a") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=told)
    try:
        yield Service(process, log)
    finally:
        process.terminate()
        process.wait(PATIENCE)
        assert process.stdout is not None
        process.stdout.close()


def eventually(holds: Any, seconds: float = PATIENCE) -> bool:
    deadline = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(held)


def told_next(service: Service, lines: int) -> list[str]:
    assert service.process.stdout is not None
    return [service.process.stdout.readline().strip() for _ in range(lines)]


def errors_in(log: Path) -> list[dict[str, Any]]:
    """Every line of a log is JSON."""
    return [line for line in map(json.loads, log.read_text().splitlines()) if line["level"] == "error"]


def test_a_service_that_answers_says_where_its_pages_are(tmp_path: Path) -> None:
    with served(tmp_path, "--host", "localhost") as service:
        port = service.url.rpartition(":")[2]
        assert service.url == f"http://localhost:{port}"
        assert told_next(service, 2) == [f"docs: {service.url}/docs", f"admin: {service.url}/admin (sign in with demo-private-key)"]


def test_a_service_that_listens_everywhere_names_its_pages_where_this_machine_reaches_them(tmp_path: Path) -> None:
    shop = {"IDENTITY_SHOPS__MINE__PUBLIC_KEYS": f"pk_{'a' * 24}", "IDENTITY_SHOPS__MINE__PRIVATE_KEYS": f"sha256:{'a' * 64}"}
    secrets = {"IDENTITY_SECRETS__PEPPER": "a" * 43, "IDENTITY_SECRETS__SIGNING_KEYS": "b" * 43}
    with served(tmp_path, "--config", "production", **shop, **secrets) as service:
        place, port = service.url.rsplit(":", 1)
        assert place == "http://0.0.0.0"
        assert told_next(service, 2) == [f"docs: http://127.0.0.1:{port}/docs", f"admin: http://127.0.0.1:{port}/admin"]


def test_what_is_for_ones_own_people_is_served_on_the_internal_port_alone(tmp_path: Path) -> None:
    internal = free_port()
    with served(tmp_path, IDENTITY_SERVER__INTERNAL_PORT=str(internal)) as service:
        base = f"http://127.0.0.1:{internal}"
        assert told_next(service, 2)[0] == f"docs: {base}/docs"
        inside = ["/", "/docs", "/docs/contract", "/llms.txt", "/metrics", "/openapi.json", "/admin", "/admin/signin"]
        everywhere = ["/healthz", "/readyz", "/visitor.js"]
        with httpx.Client() as client:
            assert {client.get(f"{service.url}{path}").status_code for path in inside} == {404}
            assert {client.get(f"{base}{path}").status_code for path in inside} == {200, 303}
            assert {client.get(f"{url}{path}").status_code for path in everywhere for url in (service.url, base)} == {200}
        assert service.call("/v1/lookups", {"email": "a@example.com"})[0] == 200


def test_the_demo_names_its_shop_as_well(tmp_path: Path) -> None:
    with served(tmp_path, command_name="demo") as service:
        assert [line.partition(": ")[0] for line in told_next(service, 3)] == ["docs", "admin", "demo shop"]


def serve_in_vain(*flags: str, **environment: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "identity_service", "serve", *flags]
    run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=os.environ | environment)
    assert run.stdout == ""
    return run.returncode, run.stderr


def test_a_port_in_use_is_told_in_one_line_before_a_store_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = serve_in_vain("--port", str(port), "--data", str(tmp_path / "data"))
    assert told == (3, f"port {port} of 127.0.0.1 is in use; stop the program that uses it, or choose another port with --port\n")
    assert not (tmp_path / "data").exists()


def test_an_internal_port_in_use_is_told_by_its_setting(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        flags = ("--port", str(free_port()), "--data", str(tmp_path / "data"))
        told = serve_in_vain(*flags, IDENTITY_SERVER__INTERNAL_PORT=str(port))
    assert told == (
        3,
        f"port {port} of 127.0.0.1 is in use; stop the program that uses it, or choose another port with server.internal_port\n",
    )


def test_of_two_that_took_a_port_at_the_same_time_one_listens() -> None:
    settings = load("development", {"IDENTITY_SERVER__PORT": str(free_port())})
    place = (settings.server.host, settings.server.port, "--port")
    with bind(*place) as one, bind(*place) as other:
        other.listen()
        with pytest.raises(CannotListen, match=f"port {settings.server.port} of 127.0.0.1 is in use"):
            run_workers(settings, [one], lambda: settings, "identity_service.app:create")


@pytest.mark.parametrize("host", ["192.0.2.7", "nowhere.invalid", "2001:db8::7"])
def test_a_host_that_is_not_this_machines_is_told_in_one_line(host: str) -> None:
    with pytest.raises(CannotListen) as told:
        bind(host, free_port(), "--port")
    assert str(told.value) == f"{host} is not an address of this machine; choose one with --host, or 0.0.0.0 for all"


def test_a_data_directory_that_cannot_be_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    told = serve_in_vain("--port", str(free_port()), "--data", str(tmp_path / "data"))
    assert told == (2, f"store.url: Cannot use {tmp_path}/data: File exists; name another --data directory\n")


def test_a_newcomer_starts_calls_and_stops_it(tmp_path: Path) -> None:
    with served(tmp_path) as service:
        assert service.call("/v2/log/sale", SEED | {"visitor": "abc123"}) == (200, {"status": "ok"})
        _, found = service.call("/v1/lookups", {"email": "luke@skywalker.com"})
        assert [one["visitor"] for one in found["visitors"]] == ["abc123"]
        assert "valkey-server" in descendants(service.process.pid).values() or "redis-server" in descendants(service.process.pid).values()
    assert service.process.returncode == 0
    lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    assert {line["route"] for line in lines if line["event"] == "request"} >= {"/healthz", "/v2/log/sale", "/v1/lookups"}
    assert not re.search("skywalker|abc123|demo-p|127.0.0.1:[0-9]+ -", service.log.read_text())


def test_acknowledged_links_survive_a_killed_store_and_a_restart(tmp_path: Path) -> None:
    with served(tmp_path) as service:
        for number in range(20):
            body = {"email": f"person{number}@example.com", "visitor": f"visitor-{number}"}
            assert service.call("/v1/links", body)[0] == 200
        store = next(pid for pid, name in descendants(service.process.pid).items() if name in {"valkey-server", "redis-server"})
        os.kill(store, signal.SIGKILL)
        assert eventually(lambda: service.call("/readyz")[0] == 200)
        _, found = service.call("/v1/lookups", {"emails": [f"person{number}@example.com" for number in range(20)]})
        assert [len(result["visitors"]) for result in found["results"]] == [1] * 20
    with served(tmp_path) as service:
        _, found = service.call("/v1/lookups", {"email": "person7@example.com"})
        assert len(found["visitors"]) == 1


def test_nothing_outlives_a_killed_service(tmp_path: Path) -> None:
    with served(tmp_path, "--workers", "2") as service:
        family = descendants(service.process.pid)
        service.process.kill()
        service.process.wait(PATIENCE)
        left = [pid for pid, name in family.items() if name in {"valkey-server", "redis-server"} or name.startswith("python")]
        assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() and _state(pid) != "Z" for pid in left))


def _state(pid: int) -> str:
    try:
        return str(re.findall(r"\) (.)", Path(f"/proc/{pid}/stat").read_text())[0])
    except OSError:
        return "Z"


def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    with served(tmp_path) as service:
        [killed] = _workers(service)
        os.kill(killed, signal.SIGKILL)
        assert eventually(lambda: _workers(service) not in ([], [killed]) and _answers(service))


def _workers(service: Service) -> list[int]:
    return [pid for pid in descendants(service.process.pid) if b"spawn_main" in _command_line(pid)]


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _answers(service: Service) -> bool:
    try:
        return service.call("/healthz")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_sighup_replaces_workers_one_by_one_and_every_call_is_answered(tmp_path: Path) -> None:
    with served(tmp_path, "--workers", "2", IDENTITY_LIMITS__ENABLED="false") as service:
        before = descendants(service.process.pid).keys()
        statuses: list[int] = []
        done = threading.Event()

        def probe() -> None:
            while not done.wait(0.01):
                statuses.append(service.call("/v1/visitors", {})[0])

        prober = threading.Thread(target=probe)
        prober.start()
        os.kill(service.process.pid, signal.SIGHUP)
        assert eventually(lambda: len([pid for pid in descendants(service.process.pid) if pid not in before]) == 2)
        assert eventually(lambda: len(descendants(service.process.pid)) == len(before))
        done.set()
        prober.join()
    assert statuses
    assert set(statuses) == {200}


DEVELOPMENT = (config_directory() / "development.toml").read_text()


def test_settings_with_faults_are_one_line_at_sighup_and_the_workers_stay(tmp_path: Path) -> None:
    named = tmp_path / "settings.toml"
    named.write_text(DEVELOPMENT)
    with served(tmp_path, "--config", str(tmp_path), "--workers", "2") as service:
        before = set(_workers(service))
        wrong = DEVELOPMENT.replace('["demo-private-key"]', '"hidden"').replace("[secrets]", 'gpc_support_since = "soon"\n[secrets]')
        for number, text in enumerate((f"{DEVELOPMENT}\nhidden", wrong), 1):
            named.write_text(text)
            os.kill(service.process.pid, signal.SIGHUP)
            assert eventually(lambda number=number: len(errors_in(service.log)) == number)
            assert set(_workers(service)) == before
            assert service.call("/v1/visitors", {})[0] == 200
        syntax, values = [error["faults"] for error in errors_in(service.log)]
        assert [fault.partition(": ")[0] for fault in syntax] == [f"{named}:{DEVELOPMENT.count(chr(10)) + 2}:7"]
        assert {fault.partition(": ")[0] for fault in values} == {"shops.demo.private_keys", "server.gpc_support_since"}
        assert all(f"({named}:" in fault for fault in values)
        assert not re.search("hidden|Traceback", service.log.read_text())
        named.write_text(DEVELOPMENT.replace("demo-private-key", "newer-private-key"))
        os.kill(service.process.pid, signal.SIGHUP)
        assert eventually(lambda: len(_workers(service)) == 2 and not before & set(_workers(service)))
        assert (service.call("/v1/visitors", {})[0], service.call("/v1/visitors", {}, "newer-private-key")[0]) == (401, 200)


def test_where_it_listens_stays_at_sighup(tmp_path: Path) -> None:
    """Else what is internal would move to the port that is open to everybody."""
    ports = [free_port(), free_port()]
    named = tmp_path / "settings.toml"

    def write(port: int, internal: int) -> None:
        named.write_text(DEVELOPMENT.replace("[server]", f"[server]\nport = {port}\ninternal_port = {internal}"))

    write(*ports)
    with served(tmp_path, "--config", str(named), data=None, IDENTITY_STORE__URL=f"embedded:{tmp_path}/data") as service:
        for changed in (reversed(ports), (ports[0], 0), (ports[0], free_port())):
            before = set(_workers(service))
            write(*changed)
            os.kill(service.process.pid, signal.SIGHUP)
            assert eventually(lambda before=before: len(_workers(service)) == 1 and not before & set(_workers(service)))
            with httpx.Client() as client:
                found = [client.get(f"http://127.0.0.1:{port}/docs").status_code for port in ports]
            assert found == [404, 200]
        assert service.log.read_text().count("these settings change with a restart") == 3


def test_a_store_that_does_not_answer_is_told_at_sighup_and_the_workers_stay(tmp_path: Path) -> None:
    named, port = tmp_path / "settings.toml", free_port()
    with valkey("--port", str(port)), redis.Redis("127.0.0.1", port) as database:
        database.config_set("requirepass", "former")
        named.write_text(f'{DEVELOPMENT}\n[store]\nurl = "redis://:former@127.0.0.1:{port}"\n')
        with served(tmp_path, "--config", str(named), "--port", str(free_port()), data=None) as service:
            before = set(_workers(service))
            named.write_text(named.read_text().replace(":former@", ":wrong@"))
            os.kill(service.process.pid, signal.SIGHUP)
            assert eventually(lambda: errors_in(service.log))
            [error] = errors_in(service.log)
            assert "password" in " ".join(error["faults"])
            assert not re.search("former|wrong", service.log.read_text())
            assert set(_workers(service)) == before
            assert service.call("/readyz")[0] == 200


def test_another_pepper_is_told_at_sighup_and_by_check_and_the_workers_stay(tmp_path: Path) -> None:
    named = tmp_path / "settings.toml"
    named.write_text(f'{DEVELOPMENT}\n[store]\nurl = "embedded:{tmp_path}/data"\n')
    check = [sys.executable, "-m", "identity_service", "check", "--store", "--config", str(named)]
    with served(tmp_path, "--config", str(named)) as service:
        assert service.call("/v1/links", {"email": "a@example.com", "visitor": "abc123"})[0] == 200
        assert "the store is ready" in subprocess.run(check, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
        before = set(_workers(service))
        named.write_text(named.read_text().replace("development-only-pepper", "development-only-another"))
        os.kill(service.process.pid, signal.SIGHUP)
        assert eventually(lambda: errors_in(service.log))
        [error] = errors_in(service.log)
        assert "pepper" in " ".join(error["faults"])
        assert set(_workers(service)) == before
        assert service.call("/v1/lookups", {"email": "a@example.com"})[1]["visitors"][0]["visitor"] == "abc123"
        told = subprocess.run(check, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert (told.returncode, "pepper" in told.stderr) == (2, True)


def test_a_worker_that_dies_is_replaced_also_while_the_settings_have_faults(tmp_path: Path) -> None:
    named = tmp_path / "settings.toml"
    named.write_text(DEVELOPMENT)
    with served(tmp_path, "--config", str(named)) as service:
        named.write_text("faulty")
        [killed] = _workers(service)
        os.kill(killed, signal.SIGKILL)
        assert eventually(lambda: _workers(service) not in ([], [killed]) and _answers(service))
        assert service.call("/v1/visitors", {})[0] == 200
    assert errors_in(service.log) == []


def test_a_running_service_takes_no_embedded_store_anew(tmp_path: Path) -> None:
    named = tmp_path / "settings.toml"
    with valkey() as url:
        named.write_text(f'{DEVELOPMENT}\n[store]\nurl = "{url}"\n')
        with served(tmp_path, "--config", str(named), "--port", str(free_port()), data=None) as service:
            named.write_text(DEVELOPMENT)
            os.kill(service.process.pid, signal.SIGHUP)
            assert eventually(lambda: errors_in(service.log))
            [error] = errors_in(service.log)
            assert error["faults"] == ["store.url: changing to an embedded store needs a restart; stop the service and start it again"]
            assert service.call("/v1/visitors", {})[0] == 200


def test_two_services_never_share_a_directory(tmp_path: Path) -> None:
    with served(tmp_path):
        command = [sys.executable, "-m", "identity_service", "serve", "--port", str(free_port()), "--data", str(tmp_path / "data")]
        second = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert second.returncode == 2
    assert "is in use by another service" in second.stderr


def test_a_server_that_would_lose_links_is_refused_in_one_line() -> None:
    with valkey("--maxmemory-policy", "allkeys-lru") as url:
        environment = os.environ | {"IDENTITY_STORE__URL": url}
        command = [sys.executable, "-m", "identity_service", "serve", "--port", str(free_port())]
        run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=environment)
    assert run.returncode == 2
    assert "evicts keys" in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_store_that_is_away_at_start_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "identity_service", "serve", "--port", str(free_port())]
    log = tmp_path / "log"
    environment = os.environ | {"IDENTITY_STORE__URL": f"redis://127.0.0.1:{port}/0?socket_timeout=5"}
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment)
    try:
        service = Service(process, log)
        warning = next(line for line in map(json.loads, log.read_text().splitlines()) if line["level"] == "warning")
        assert (warning["store"], "does not answer yet" in warning["event"]) == (f"redis://127.0.0.1:{port}/0", True)
        assert (warning["reason"], "Nothing listens at the store's address" in warning["meaning"]) == ("refused", True)
        assert service.call("/readyz")[0] == 503
        assert service.call("/healthz")[0] == 200
        with valkey("--port", str(port)):
            assert eventually(lambda: service.call("/readyz")[0] == 200)
            assert service.call("/v1/links", {"email": "a@example.com", "visitor": "abc123"})[0] == 200
            with redis.Redis("127.0.0.1", port) as database:
                assert database.exists(SCHEMA) == 1
                database.flushall()
            assert eventually(lambda: service.call("/readyz")[0] == 503)
    finally:
        process.terminate()
        process.wait(PATIENCE)
        assert process.stdout is not None
        process.stdout.close()
