"""Signing keys that are rotated under load, instance by instance: a token is good everywhere until its key is retired, then nowhere."""

import asyncio
import random
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from identity_service.model.token import Signing
from identity_service.settings.load import config_directory
from tests.faults.checker import AssertKept
from tests.faults.connection import Connection, NoAnswer
from tests.faults.history import History, Kind, Outcome
from tests.faults.load import Load, Request, perform
from tests.faults.running import RunningService, RunningStore
from tests.test_command import eventually

KEY, SHOP = "demo-private-key", "demo"
OLD = "development-only-signing-key-of-the-demo-shops-0001"
NEW = "development-only-signing-key-of-the-demo-shops-0002"
ISSUING = [Request(Kind.GRANT, SHOP, {}, "/v1/visitors", {"consent": "granted"}), Request(Kind.ISSUE, SHOP, {}, "/v1/visitors", {})]
DEVELOPMENT = (config_directory() / "development.toml").read_text()


def signed_by(key: str, token: str) -> bool:
    return Signing([key]).verify(SHOP, token) is not None


class Instance:
    """A service whose keys stand in a file of its own."""

    def __init__(self, directory: Path, store: str | Path, *keys: str, workers: int = 1) -> None:
        directory.mkdir(exist_ok=True)
        self._file = directory / "settings.toml"
        self._write(list(keys))
        self.service = RunningService(directory, store, workers, IDENTITY_CONFIG=str(self._file))

    def rotate(self, *keys: str) -> None:
        """Returns when only workers that know these keys answer. A restart is given up where a worker needs more than ten seconds to
        begin, and asked for again."""
        self._write(list(keys))
        before = set(self.service.workers)
        for _ in range(6):
            self.service.signal(signal.SIGHUP)
            if eventually(lambda: len(set(self.service.workers) - before) == len(self.service.workers) == len(before), 20):
                return
        raise AssertionError(self.service.log)

    def _write(self, keys: list[str]) -> None:
        assert f'["{OLD}"]' in DEVELOPMENT
        self._file.write_text(DEVELOPMENT.replace(f'["{OLD}"]', str(keys).replace("'", '"')))


class Verifier:
    """Issues tokens at each instance and has each verified at all of them, in a thread, until it is left."""

    def __init__(self, history: History, *urls: str) -> None:
        self._history = history
        self.issued: list[str] = []
        self.verified = 0
        self.refused: list[str] = []
        self._urls = urls
        self._random = random.Random(1)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> "Verifier":
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._ended.set()
        self._thread.join()

    async def _run(self) -> None:
        await asyncio.gather(*(self._client(Connection(url)) for url in self._urls))

    async def _client(self, connection: Connection) -> None:
        while not self._ended.is_set():
            done = await perform(connection, self._random.choice(ISSUING), self._history)
            if done.outcome is Outcome.OK:
                self.issued.append(done.answer["token"])
            for token in [*self.issued[-3:], self._random.choice(self.issued)]:
                answer = await asked(connection, "/v1/verifications", {"token": token})
                self.verified += "valid" in answer
                self.refused += [token] if answer.get("valid") is False else []
        connection.close()


async def asked(connection: Connection, path: str, body: object) -> dict[str, Any]:
    """Empty where a restart or the store stood between."""
    try:
        status, answer = await connection.call(path, KEY, body)
    except NoAnswer:
        return {}
    return dict(answer) if status == 200 else {}


async def answers(url: str, path: str, tokens: list[str]) -> list[dict[str, Any]]:
    connection = Connection(url)
    try:
        return [await asked(connection, path, {"token": token}) for token in tokens]
    finally:
        connection.close()


def test_no_token_is_refused_until_its_key_is_retired_and_every_one_after(tmp_path: Path, writes: int, assert_kept: AssertKept) -> None:
    with RunningStore(tmp_path / "store") as store:
        instances = [Instance(tmp_path / name, store.url, OLD) for name in ("one", "other")]
        one, other = (instance.service for instance in instances)
        with one, other:
            with Load(one.url, other.url, clients=6) as load, Verifier(load.history, one.url, other.url) as verifier:
                load.wait(writes // 4)
                for keys in [(NEW, OLD), (OLD, NEW)]:
                    for instance in instances:
                        instance.rotate(*keys)
                load.wait(writes // 4)
                load.wait_until(lambda history: history.acknowledged >= writes and signed_by(NEW, verifier.issued[-200:][0]))
            old = [token for token in verifier.issued if signed_by(OLD, token)]
            new = [token for token in verifier.issued if signed_by(NEW, token)]
            assert verifier.verified > 200
            assert verifier.refused == []
            renewed = asyncio.run(answers(one.url, "/v1/visitors", old[-200:]))
            assert all(signed_by(NEW, answer["token"]) for answer in renewed)
            with ThreadPoolExecutor() as both:
                list(both.map(lambda instance: instance.rotate(NEW), instances))
            for url in (one.url, other.url):
                assert {answer["reason"] for answer in asyncio.run(answers(url, "/v1/verifications", old))} == {"bad_signature"}
                assert all(answer["valid"] for answer in asyncio.run(answers(url, "/v1/verifications", new)))
            assert_kept(load.history, one)
