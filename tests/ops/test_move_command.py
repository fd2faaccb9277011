"""The command `move`, run as an operator runs it: real stores, a service before and after, and a process that is really killed."""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from identity_service.model.handle import Handles
from identity_service.store.keys import MOVE, PROBE, REPAIR_LOCK, SCHEMA
from identity_service.store.schema import VERSION, Schema, schema_of
from tests import commands
from tests.filled import NEW, OLD, SHOP, environment
from tests.first_store import plant
from tests.stores import valkey
from tests.test_command import PATIENCE, eventually, free_port, served

CHANGED = {name: value for name, value in environment("", OLD, NEW).items() if "SECRETS" in name}


def run(*arguments: str, **told: str) -> "subprocess.CompletedProcess[str]":
    return commands.run(*arguments, environment=os.environ | told)


def start(data: Path | None = None, **told: str) -> "subprocess.CompletedProcess[str]":
    """Of a service that does not start."""
    flags = ["--data", str(data)] if data else []
    command = [sys.executable, "-m", "identity_service", "serve", "--port", str(free_port()), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=os.environ | told)


def test_the_pepper_of_a_shop_is_changed_in_one_pause(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for directory in (before, after):
        directory.mkdir()
    with served(before) as service:
        for number in range(30):
            body = {"email": f"person{number}@example.com", "visitor": f"visitor-{number}"}
            assert service.call("/v1/links", body)[0] == 200
    old, new = f"embedded:{before}/data", f"embedded:{after}/data"

    refused = start(before / "data", **CHANGED)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "secrets.pepper: is newer than this store" in refused.stderr
    moved = run("move", old, new, **CHANGED)
    assert moved.returncode == 0, moved.stderr
    assert "with new digests under the newer pepper" in moved.stdout

    with served(after, **CHANGED) as service:
        _, found = service.call("/v1/lookups", {"emails": [f"person{number}@example.com" for number in range(30)]})
        assert [one["visitors"][0]["visitor"] for one in found["results"]] == [f"visitor-{number}" for number in range(30)]
    assert "is not the one that this store was written under" in start(after / "data").stderr
    assert f"this store was moved to {new}" in start(before / "data").stderr

    assert run("move", old, "--undo").returncode == 0
    with served(before) as service:
        _, found = service.call("/v1/lookups", {"email": "person7@example.com"})
        assert [one["visitor"] for one in found["visitors"]] == ["visitor-7"]


@pytest.mark.skipif(not shutil.which("redis-server"), reason="needs Debian's redis-server")
def test_orders_go_from_the_embedded_store_to_redis_and_back(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for directory in (before, after):
        directory.mkdir()
    with served(before) as service:
        for number in range(20):
            sale = {"key": "demo-public-key", "sale": number, "products": [12793], "visitor": f"visitor-{number}"}
            assert service.call("/v2/log/sale", sale) == (200, {"status": "ok"})
    with valkey(program="redis-server") as url:
        for source, target in ((f"embedded:{before}/data", url), (url, f"embedded:{after}/data")):
            told = run("move", source, target)
            assert told.returncode == 0, told.stdout + told.stderr
    with served(after) as service:
        _, found = service.call("/v1/orders")
        assert {order["sale"] for order in found["orders"]} == {str(number) for number in range(20)}


def test_a_killed_move_goes_on_and_no_service_starts_on_either_half(tmp_path: Path) -> None:
    with valkey() as source, valkey() as target, redis.Redis.from_url(source) as there, redis.Redis.from_url(target) as here:
        with there.pipeline(transaction=False) as pipe:
            for number in range(20_000):
                pipe.set(f"id:v2:{{demo}}:Z:{number}", "salt", ex=100_000)
            pipe.execute()
        moving = subprocess.Popen([sys.executable, "-m", "identity_service", "move", source, target], stdout=subprocess.PIPE)
        assert eventually(lambda: here.dbsize() > 5_000)
        moving.kill()
        moving.communicate(timeout=PATIENCE)
        assert 5_000 < here.dbsize() < 20_000
        for url in (source, target):
            refused = start(IDENTITY_STORE__URL=url)
            assert (refused.returncode, "is not finished; run the same" in refused.stderr) == (2, True)
        assert run("move", target, "--undo").returncode == 1
        again = run("move", source, target)
        assert (again.returncode, "going on" in again.stdout) == (0, True), again.stderr
        marks = {name.encode() for name in (SCHEMA, MOVE, PROBE)}
        assert set(here.keys()) - marks == set(there.keys()) - marks
        assert (here.exists(MOVE), here.exists(SCHEMA)) == (0, 1)


@pytest.mark.parametrize("marked", [True, False])
def test_a_service_does_not_start_on_the_first_schema_and_names_the_move(marked: bool) -> None:
    with valkey() as source, valkey() as target, redis.Redis.from_url(source, decode_responses=True) as there:
        plant(source)
        if marked:
            there.hset(SCHEMA, mapping=dict(Schema(1, schema_of([OLD]).peppers).fields()))
        refused = start(IDENTITY_STORE__URL=source)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert "its keys are of schema 1, this version uses 2; run `identity-service move FROM TO`" in refused.stderr
        assert there.hget(SCHEMA, "version") == ("1" if marked else None)
        told = run("move", source, target)
        assert told.returncode == 0, told.stderr
        assert run("check", "--store", IDENTITY_STORE__URL=target).returncode == 0
        assert "this store was moved to" in run("check", "--store", IDENTITY_STORE__URL=source).stderr


def plant_open(client: redis.Redis, visitors: int) -> list[str]:
    """An email from which all of these visitors were unlinked, but none of them knows. Returns what their records will be called."""
    handles = Handles(OLD)
    handle, digests = (
        handles.of_email(SHOP, "all@first.example"),
        [handles.digest("visitor", SHOP, f"v{number}") for number in range(visitors)],
    )
    with client.pipeline(transaction=False) as pipe:
        for number, digest in enumerate(digests):
            pipe.hset(f"id:v1:V{{{SHOP}:{digest}}}", mapping={"k": "p", "x": "1831287980", handle.name: "Z4rRR8CXv", "e": "1"})
            pipe.hset(f"id:v1:E{{{SHOP}:{handle.digest}}}:removals", f"v{number}", "u 1795000000000")
        pipe.zadd(f"id:v1:Q{{{SHOP}:repair}}", {f"u {handle.name} nonce": 1})
        pipe.execute()
    return [f"id:v2:{{{SHOP}}}:V:{digest}" for digest in digests]


def test_a_move_that_is_killed_again_and_again_ends_what_was_open(long: bool) -> None:
    """Of a store with orders, among much else."""
    with valkey() as source, valkey() as target, redis.Redis.from_url(source) as there, redis.Redis.from_url(target) as here:
        plant(source)
        records, sales = plant_open(there, 2_000), len(list(there.scan_iter("id:v1:S{*")))
        for _ in range(20 if long else 5):
            command = [sys.executable, "-m", "identity_service", "move", source, target]
            moving = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert moving.stdout
            begun = moving.stdout.readline()
            time.sleep(random.uniform(0, 0.4))
            moving.kill()
            moving.communicate(timeout=PATIENCE)
            if not begun:  # it had ended before it was killed
                break
            assert begun in {"begun\n", "going on\n"}
        told = run("move", source, target)
        assert told.returncode == 0 or "was already moved" in told.stderr, told.stdout + told.stderr
        assert all((here.hget(record, "e"), here.hlen(record)) == (b"0", 6) for record in records)
        assert list(here.scan_iter("id:v?:*removals*")) == list(here.scan_iter("id:v1:[^{]*")) == []
        assert len(list(here.scan_iter("id:v2:{*}:S:*"))) == sales > 2


def test_a_move_waits_for_a_service_to_be_gone_and_refuses_one_that_runs() -> None:
    with valkey() as source, valkey() as target, redis.Redis.from_url(source) as client:
        for renewed in (True, False):
            client.set(REPAIR_LOCK, "one")
            command = [sys.executable, "-m", "identity_service", "move", source, target]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as moving:
                assert moving.stdout
                assert "waiting to see whether it still does" in moving.stdout.readline()
                client.set(REPAIR_LOCK, "another") if renewed else client.delete(REPAIR_LOCK)
                _, told = moving.communicate(timeout=PATIENCE)
            assert moving.returncode == (1 if renewed else 0)
            assert ("a service runs on" in told, client.exists(MOVE) == 0) == (renewed, renewed)


@pytest.mark.parametrize(
    ("source", "target", "told"),
    [
        ("embedded:nowhere", "embedded:two", "there is no store in this directory"),
        ("redis://127.0.0.1:1", "embedded:two", "a store does not answer"),
        ("http://127.0.0.1", "embedded:two", "is none of embedded:DIR"),
    ],
)
def test_what_cannot_be_moved_is_told_in_one_line(tmp_path: Path, source: str, target: str, told: str) -> None:
    one, other = (name.replace("embedded:", f"embedded:{tmp_path}/") for name in (source, target))
    refused = run("move", one, other)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert told in refused.stderr
    assert not (tmp_path / "nowhere").exists()


def test_a_password_in_an_address_is_told_nobody() -> None:
    with valkey() as source, valkey("--port", str(port := free_port())) as target:
        with redis.Redis.from_url(target) as client:
            client.config_set("requirepass", "hidden")
        moved = run("move", source, f"redis://default:hidden@127.0.0.1:{port}/0?socket_timeout=5")
        assert moved.returncode == 0, moved.stderr
        with redis.Redis.from_url(source, decode_responses=True) as client:
            assert client.hget(MOVE, "other") == f"redis://127.0.0.1:{port}/0"
    assert "hidden" not in moved.stdout + moved.stderr


@pytest.mark.parametrize("url", ["redis://u:hidden@127.0.0.1:port", "redis://u:hid?den@127.0.0.1:1", "redis://u:1/hidden@127.0.0.1:1"])
def test_an_address_that_cannot_be_read_is_refused_without_its_password(tmp_path: Path, url: str) -> None:
    checked, examined = run("check", IDENTITY_STORE__URL=url), run("doctor", url)
    moved = [run("move", *two) for two in ((url, f"embedded:{tmp_path}/two"), (f"embedded:{tmp_path}/one", url))]
    assert [one.returncode for one in (checked, examined, *moved)] == [2, 2, 1, 1]
    for one in (checked, examined, moved[0]):
        assert "is none of embedded:DIR" in one.stderr
        assert not [part for part in ("hid", "den", "port", "u:") if part in (one.stdout + one.stderr).replace("a port is", "")]


def test_a_check_adopts_no_store() -> None:
    with valkey() as url, redis.Redis.from_url(url) as client:
        assert run("check", "--store", IDENTITY_STORE__URL=url).returncode == 0
        assert client.exists(SCHEMA) == 0
        client.hset(SCHEMA, mapping={"version": str(VERSION), "peppers": "another"})
        refused = run("check", "--store", IDENTITY_STORE__URL=url)
        assert (refused.returncode, "is not the one that this store" in refused.stderr) == (2, True)
        client.hset(SCHEMA, mapping={"version": str(VERSION + 1), "peppers": "another"})
        assert "which a newer version of this service wrote" in run("check", "--store", IDENTITY_STORE__URL=url).stderr


def test_a_backup_of_a_running_service_is_a_store_to_start_on(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with served(tmp_path / "one") as service:
        assert service.call("/v1/links", {"email": "before@example.com", "visitor": "before"})[0] == 200
        for code in (0, 1):
            saved = run("backup", str(tmp_path / "one" / "data"), str(tmp_path / "two" / "data"))
            assert (saved.returncode, "exists; name a new directory" in saved.stderr) == (code, code == 1)
        assert service.call("/v1/links", {"email": "after@example.com", "visitor": "after"})[0] == 200
    with served(tmp_path / "two") as service:
        _, found = service.call("/v1/lookups", {"emails": ["before@example.com", "after@example.com"]})
        assert [len(one["visitors"]) for one in found["results"]] == [1, 0]


def test_a_check_of_a_store_that_does_not_answer_says_so() -> None:
    told = run("check", "--store", IDENTITY_STORE__URL=f"redis://127.0.0.1:{free_port()}")
    assert told.returncode == 2
    assert "store.url: the store does not answer" in told.stderr
