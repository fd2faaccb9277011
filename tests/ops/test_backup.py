"""Backups of an embedded store that is written to and rewrites its files meanwhile; each is started on. Whoever withdrew since is
withdrawn again."""

import asyncio
import secrets
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from identity_service.ops import backup
from identity_service.ops.backup import FOLDER, LINK, MANIFEST, back_up
from identity_service.store.embedded import EmbeddedError, EmbeddedStore
from identity_service.store.keys import MOVE, of_shop
from tests.conftest import Clock
from tests.filled import NEW, OLD, Person, environment, fill, picture, service
from tests.first_store import plant
from tests.ops.test_move import moved, side
from tests.ops.test_move_command import run
from tests.stores import valkey, view
from tests.test_command import eventually
from tests.test_privacy import dump, hits

BACKUPS = 4


@contextmanager
def started(directory: Path) -> Iterator[redis.Redis]:
    store = EmbeddedStore(directory)
    store.start()
    try:
        with redis.Redis.from_url(store.url, decode_responses=True) as client:
            yield client
    finally:
        store.stop()


def test_every_backup_of_a_busy_store_is_the_store_of_one_moment(tmp_path: Path) -> None:
    """Numbers are written in order, each with its double in the same step, while the files are rewritten again and again."""
    acknowledged, before, stop = [0], list[int](), threading.Event()

    def write(client: redis.Redis) -> None:
        while not stop.is_set():
            number = acknowledged[0] + 1
            with client.pipeline() as pipe:
                pipe.rpush("numbers", number)
                pipe.set("double", 2 * number)
                pipe.execute()
            acknowledged[0] = number
            if number % 50 == 0 and not client.info("persistence")["aof_rewrite_in_progress"]:
                client.bgrewriteaof()

    with started(tmp_path / "data") as client:
        writer = threading.Thread(target=write, args=(client,))
        writer.start()
        while len(before) < BACKUPS:
            if acknowledged[0] > 60 * len(before):
                before.append(acknowledged[0])
                assert back_up(tmp_path / "data", tmp_path / f"backup-{len(before)}") > 0
        stop.set()
        writer.join()
        assert list((tmp_path / "data" / FOLDER).glob(f"{LINK}*")) == []
    rewritten = set()
    for number, least in enumerate(before, 1):
        directory = tmp_path / f"backup-{number}"
        assert stat.S_IMODE((directory / FOLDER / MANIFEST).stat().st_mode) == 0o600
        rewritten.add((directory / FOLDER / MANIFEST).read_text())
        with started(directory) as client:
            numbers = [int(one) for one in client.lrange("numbers", 0, -1)]
            assert numbers == list(range(1, len(numbers) + 1))
            assert len(numbers) >= least
            assert int(client.get("double") or 0) == 2 * len(numbers)
    assert len(rewritten) > 1


def test_a_manifest_that_changes_while_files_are_linked_means_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of the first manifest go just after it was read, and then just after they were linked."""
    with started(tmp_path / "data") as client:
        client.set("a", "1")
    folder = tmp_path / "data" / FOLDER
    base = next(name for name in backup.NAMED.findall((folder / MANIFEST).read_text()) if ".base." in name)
    linked, link = [0], backup._link

    def rewritten(to: Path, names: list[str]) -> None:
        linked[0] += 1
        if linked[0] == 1:
            (folder / base).rename(folder / f"renamed-{base}")
            (folder / MANIFEST).write_text((folder / MANIFEST).read_text().replace(base, f"renamed-{base}"))
        link(to, names)
        if linked[0] == 2:
            (folder / MANIFEST).write_text((folder / MANIFEST).read_text() + f"file {base} seq 1 type h\n")

    monkeypatch.setattr(backup, "_link", rewritten)
    back_up(tmp_path / "data", tmp_path / "copy")
    assert linked[0] == 3
    monkeypatch.undo()
    with started(tmp_path / "copy") as client:
        assert client.get("a") == "1"


def test_a_backup_is_refused_in_one_line_and_never_half_there(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match="No such file"):
        back_up(tmp_path / "nowhere", tmp_path / "copy")
    with started(tmp_path / "data"):
        pass
    (tmp_path / "copy.part" / FOLDER).mkdir(parents=True)
    back_up(tmp_path / "data", tmp_path / "copy")
    with pytest.raises(EmbeddedError, match="exists; name a new directory"):
        back_up(tmp_path / "data", tmp_path / "copy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "data"]


@pytest.mark.parametrize("base", ["rdb", "aof"])
def test_a_backup_holds_no_salt_in_any_byte_and_everything_else(tmp_path: Path, base: str) -> None:
    """Neither one in the base file, nor one of the file after it, nor one that has been destroyed since."""
    salts = {of_shop("demo", f"Z:{number}"): secrets.token_urlsafe(32) for number in range(3)}
    names, of_the_day = list(salts), [of_shop("demo", name) for name in ("sketch:1-counted", "remainders:1", "Z:1:day")]
    with started(tmp_path / "data") as client:
        client.config_set("aof-use-rdb-preamble", "yes" if base == "rdb" else "no")
        client.set(names[0], salts[names[0]], ex=100_000)
        client.bgrewriteaof()
        assert eventually(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
        client.set(names[1], salts[names[1]], ex=100_000)
        client.set(names[2], salts[names[2]])
        client.delete(names[2])
        client.hset("id:v2:{demo}:E:Z", mapping={"visitor": "1"})
        client.set("id:v2:{demo}:R:Z", "receipt", ex=100_000)
        client.pfadd(of_the_day[0], "visitor")
        client.hset(of_the_day[1], mapping={"digest": 3})
        client.set(of_the_day[2], "salt")
        assert planted_in(tmp_path / "data", salts) == {*salts, *salts.values()}
        told = back_up(tmp_path / "data", tmp_path / "copy")
        assert [client.get(name) for name in names] == [salts[names[0]], salts[names[1]], None]
        client.delete(*names, *of_the_day)
        kept = sorted(dump(client))
    assert planted_in(tmp_path / "copy", salts) == set()
    files = [path for path in (tmp_path / "copy").rglob("*") if path.is_file()]
    assert {path.parent for path in files} == {tmp_path / "copy" / FOLDER}
    assert sum(path.stat().st_size for path in files) == told
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "copy", *(tmp_path / "copy").rglob("*")) if path.is_dir()}
    assert (modes, {stat.S_IMODE(path.stat().st_mode) for path in files}) == ({0o700}, {0o600})
    with started(tmp_path / "copy") as client:
        assert sorted(dump(client)) == kept


def planted_in(directory: Path, salts: dict[str, str]) -> set[str]:
    content = b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())
    return {text for text in (*salts, *salts.values()) if text.encode() in content}


def test_the_search_for_salts_finds_them_where_they_are_not_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    salts = {of_shop("demo", "Z:1"): secrets.token_urlsafe(32)}
    monkeypatch.setattr(backup, "_leave_salts_out", lambda _part: None)
    with started(tmp_path / "data") as client:
        client.mset(salts)
        back_up(tmp_path / "data", tmp_path / "copy")
    assert planted_in(tmp_path / "copy", salts) == {*salts, *salts.values()}


@pytest.mark.parametrize("planted", ["copy.part", "copy"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_planted_link_is_not_followed(tmp_path: Path, planted: str, exists: bool) -> None:
    with started(tmp_path / "data"):
        pass
    elsewhere = tmp_path / "elsewhere"
    if exists:
        elsewhere.mkdir()
        (elsewhere / "kept").write_text("of somebody else")
    (tmp_path / planted).symlink_to(elsewhere)
    with pytest.raises(EmbeddedError, match=r"is a link|exists; name"):
        back_up(tmp_path / "data", tmp_path / "copy")
    assert [path.name for path in elsewhere.glob("*")] == (["kept"] if exists else [])


def test_a_link_planted_after_it_was_looked_for_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with started(tmp_path / "data"):
        pass
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "copy.part").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr(Path, "is_symlink", lambda _path: False)
    with pytest.raises(EmbeddedError, match="File exists"):
        back_up(tmp_path / "data", tmp_path / "copy")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_link_that_a_crash_left_goes_when_the_store_starts(tmp_path: Path) -> None:
    with started(tmp_path / "data"):
        pass
    left = tmp_path / "data" / FOLDER / f"{LINK}appendonly.aof.1.base.rdb"
    left.write_bytes(b"erased since")
    with started(tmp_path / "data"):
        assert not left.exists()


def of(person: Person, found: dict[str, Any]) -> dict[str, Any]:
    """What a picture shows of one person."""
    named = (person.email, person.customer, person.visitor, f"sale-{person.number}")
    return {name: one for name, one in found.items() if any(word in name for word in named)}


@pytest.mark.anyio
async def test_whoever_withdrew_since_the_backup_is_withdrawn_from_what_is_restored(clock: Clock) -> None:
    """Under a newer pepper, too. Of one visitor nothing but its record is left that could tell its ID."""
    with valkey() as current, valkey() as restored:
        async with service(current, clock, OLD) as (application, shopper):
            people = await fill(application, shopper, clock)
            alone = (await shopper.post("/v1/consents", {"consent": "granted"})).json()
            await asyncio.to_thread(moved, current, restored, OLD, NEW)
            kept, gone = people[11], people[8:11]
            for person in gone:
                await shopper.post("/v1/visitors", {"token": person.token, "consent": "refused"})
            await shopper.post("/v1/visitors", {"token": alone["token"], "consent": "refused"})
        with side(current) as here:
            here.delete(MOVE)
        async with service(restored, clock, OLD, NEW) as (application, shopper):
            before = of(kept, await picture(shopper, [kept]))
            assert len(await shopper.visitors(email=people[8].email)) == 1
        for _ in range(2):
            told = await asyncio.to_thread(run, "forget", current, restored, **environment(restored, OLD, NEW))
            assert told.returncode == 0, told.stderr
        assert "0 visitors withdrawn again" in told.stdout
        async with service(restored, clock, OLD, NEW) as (_, shopper):
            for token in (*(person.token for person in gone), alone["token"]):
                answer = (await shopper.post("/v1/verifications", {"token": token})).json()
                assert answer == {"valid": False, "reason": "withdrawn"}
            assert of(kept, await picture(shopper, [kept])) == before
        with view(restored) as database:
            assert hits([*(person.visitor for person in gone), alone["visitor"]], dump(database)) == []
            assert hits([kept.visitor], dump(database)) == [kept.visitor]


def test_marks_of_the_first_schema_are_not_overlooked() -> None:
    """A store of that schema is moved before anybody is forgotten by it, or from it."""
    with valkey() as first, valkey() as second:
        plant(first)
        for two in ((first, second), (second, first)):
            told = run("forget", *two)
            assert (told.returncode, told.stderr.count("\n")) == (1, 1)
            assert "its keys are of schema 1, this version uses 2" in told.stderr
