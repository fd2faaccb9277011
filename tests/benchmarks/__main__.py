"""Requests a second of one worker on one core, beside a bare Starlette answer in the same run, and bytes a link.

Needs wrk (Debian package `wrk`). Rounds are interleaved, figures are medians; read the ratios, machines are noisy.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis

from tests.server import valkey
from tests.signals.tc_strings import tc_string
from tests.test_command import Service, free_port, served

TODAY = tc_string(updated=datetime.now(UTC))
ROUNDS, SECONDS, CONNECTIONS = 5, 3, 32
LINKS = 50_000
SERVICE_CORE, LOAD_CORE = "0", "1"


def main() -> int:
    if not shutil.which("wrk"):
        print("the benchmark needs wrk: apt-get install wrk", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as place, valkey("--appendonly", "yes", "--appendfsync", "always") as store, bare() as measure:
        environment = {"IDENTITY_STORE__URL": store, "IDENTITY_LIMITS__ENABLED": "false", "IDENTITY_SERVER__LOG_LEVEL": "warning"}
        os.sched_setaffinity(0, {int(SERVICE_CORE)})
        with served(Path(place), **environment) as service:
            os.sched_setaffinity(0, {0, 1})
            print_table(Path(place), service, measure)
        print_bytes(store)
    return 0


def print_table(place: Path, service: Service, measure: str) -> None:
    token = service.call("/v1/consents", {"consent": "granted"})[1]["token"]
    service.call("/v1/links", {"email": "known@example.com", "token": token})
    french = '{"client":{"ip":"198.51.100.9","user_agent":"Mozilla/5.0 (X11)"}'
    work = {
        "bare Starlette": (measure, "{}"),
        "issue cookieless": (f"{service.url}/v1/visitors", french + "}"),
        "issue persistent, new": (f"{service.url}/v1/visitors", '{"consent":"granted"}'),
        "issue persistent, known": (f"{service.url}/v1/visitors", f'{{"token":"{token}"}}'),
        "issue persistent, known, granted": (f"{service.url}/v1/visitors", f'{{"token":"{token}","consent":"granted"}}'),
        "issue persistent, known, TC string": (
            f"{service.url}/v1/visitors",
            f'{{"token":"{token}","consent":{{"tcf":{{"tc_string":"{TODAY}"}}}}}}',
        ),
        "issue null": (f"{service.url}/v1/visitors", '{"visitor":null}'),
        "link": (f"{service.url}/v1/links", '{"email":"person@example.com","visitor":"visitor-1"}'),
        "look up": (f"{service.url}/v1/lookups", '{"email":"known@example.com"}'),
        "log/click": (f"{service.url}/v2/log/click", '{"product":12793,"visitor":"visitor-2","labels":["Homepage"]}'),
        "log/sale, known": (f"{service.url}/v2/log/sale", '{"sale":567,"products":[1],"visitor":"visitor-3"}'),
    }
    figures: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(ROUNDS):
        for name, (url, body) in work.items():
            figures[name].append(load(place, url, body))
    base = statistics.median(figures["bare Starlette"])
    print("| work | requests a second | of bare Starlette |\n|---|---|---|")
    for name, rates in figures.items():
        print(f"| {name} | {statistics.median(rates):,.0f} | {statistics.median(rates) / base:.2f} |")


def load(place: Path, url: str, body: str) -> float:
    script = place / "post.lua"
    script.write_text(
        f"wrk.method = 'POST'\nwrk.body = [[{body}]]\nwrk.headers['Authorization'] = 'Bearer demo-private-key'\n"
        "wrk.headers['Content-Type'] = 'application/json'\n"
    )
    command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(script), url]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in told:
        raise SystemExit(f"{url} answered with errors:\n{told}")
    return float(re.findall(r"Requests/sec: +([0-9.]+)", told)[0])


@contextmanager
def bare() -> Iterator[str]:
    port = free_port()
    server = [
        sys.executable,
        "-m",
        "uvicorn",
        "tests.benchmarks.bare:app",
        "--port",
        str(port),
        "--no-access-log",
        "--log-level",
        "warning",
    ]
    process = subprocess.Popen(["taskset", "-c", SERVICE_CORE, *server, "--loop", "uvloop", "--http", "httptools"])
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(10)


def print_bytes(url: str) -> None:
    """Links of one visitor each as the service writes them: value lengths and lives are the real ones."""
    connection = redis.Redis.from_url(url, decode_responses=True)
    for name, with_record in (("a link", False), ("a link with its visitor record", True)):
        connection.flushall()
        before = int(connection.info("memory")["used_memory"])
        for start in range(0, LINKS, 1_000):
            pipeline = connection.pipeline(transaction=False)
            for number in range(start, start + 1_000):
                tag = f"{number:022d}"
                visitor = f"{number:021d}v"
                pipeline.hset(f"id:v1:E{{demo:{tag}}}", visitor, "1795000000 0 33696000 lv")
                pipeline.expire(f"id:v1:E{{demo:{tag}}}", 33_696_000)
                if with_record:
                    pipeline.hset(f"id:v1:V{{demo:{tag}}}", mapping=record(tag, visitor))
                    pipeline.expire(f"id:v1:V{{demo:{tag}}}", 33_696_000)
            pipeline.execute()
        used = int(connection.info("memory")["used_memory"]) - before
        print(f"{used / LINKS:.0f} bytes {name} ({connection.info('server').get('valkey_version', 'redis')})")
    connection.close()


def record(tag: str, visitor: str) -> dict[Any, Any]:
    return {
        "k": "p",
        "f": 1795000000,
        "q": visitor,
        "l": 1795000000,
        "x": 1828696000,
        "g": 1795000000250,
        "s": "plain",
        "r": visitor,
        "e": 1,
        f"e{tag}": "abcdefghijkv",
    }


if __name__ == "__main__":
    sys.exit(main())
