"""The marks of a store, by which a service recognises it: `{schema}` names the schema and the peppers of its keys, `{move}` a move under
way.

A store without marks uses the oldest pepper. If it holds keys of the first schema, which is older than the marks, it is of that schema.
Otherwise it belongs to the first service that starts on it. A store that has lost a mark which a service saw was emptied. That service
refuses it, because another service may have started on it with other peppers.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from identity_service.model.handle import Handles
from identity_service.store.keys import MOVE, SCHEMA
from identity_service.store.redis.cause import Cause
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import read, write

FIRST, VERSION = 1, 2
"""Versions of the schema of keys. `ops.move` has a step for every change."""

OF_FIRST_SCHEMA = "id:v1:[^{]*"
"""A pattern for SCAN: keys of the first schema, without the marks."""

MARK_VARIABLE = "IDENTITY_MARK"
"""The environment variable that names the file of SeenMark, which the supervisor makes for its workers."""

KEYS_TO_LOOK_AT = 1_000
"""How many keys of each primary are searched for the first schema, in a store without a mark."""
MOVE_AGAIN = "run `identity-service move FROM TO`"


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a service must not run on a store. `text`: one line for operators, with what to do."""

    cause: Cause
    text: str


EMPTIED = Misfit(
    Cause.EMPTIED,
    "store.url: this store was emptied while the service ran on it, its mark has gone. Restore it and send SIGHUP; to go on with an empty "
    "store, stop the service and start it again",
)


class SeenMark:
    """Whether this service has seen its mark in the store. `path`: a file that all processes of the service share, which exists once one of
    them has seen the mark. A process with such a file marks a store that never had a mark."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._seen = False

    @property
    def adopts(self) -> bool:
        return self._path is not None and not self.seen

    @property
    def seen(self) -> bool:
        return self._seen or (self._path is not None and self._path.exists())

    def note(self) -> None:
        if self._path and not self._seen:
            with contextlib.suppress(FileNotFoundError):  # the service ends, and its folder is removed
                self._path.touch(mode=0o600)
        self._seen = True


class MoveState(StrEnum):
    """LEAVING and LEFT are states of the store that is moved, ARRIVING of the other."""

    LEAVING = "leaving"
    LEFT = "left"
    ARRIVING = "arriving"


@dataclass(frozen=True, slots=True)
class Schema:
    """`peppers`: fingerprints, oldest first."""

    version: int
    peppers: tuple[str, ...]

    def fields(self) -> dict[str, str]:
        return {"version": str(self.version), "peppers": " ".join(self.peppers)}


@dataclass(frozen=True, slots=True)
class Move:
    """`nonce`: the same on both sides of a move. `other`: the other side, for people. `peppers`: fingerprints after the move."""

    nonce: str
    state: MoveState
    other: str
    peppers: tuple[str, ...]

    def fields(self) -> dict[str, str]:
        return {"nonce": self.nonce, "state": self.state, "other": self.other, "peppers": " ".join(self.peppers)}


def schema_of(peppers: Sequence[str]) -> Schema:
    """The schema of this version and these peppers, oldest first."""
    return Schema(VERSION, Handles(*peppers).fingerprints)


def stored_schema(found: Mapping[str, str]) -> Schema:
    """`found`: the mark."""
    return Schema(int(found["version"]), tuple(found["peppers"].split()))


def stored_move(found: Mapping[str, str]) -> Move | None:
    return Move(found["nonce"], MoveState(found["state"]), found["other"], tuple(found["peppers"].split())) if found else None


async def examine_marks(client: StoreClient, own: Schema, mark: SeenMark) -> Misfit | None:
    """Why a service with the schema `own` must not run on the store, or None. Raises StoreUnavailable."""
    [found] = await client.run(read("HGETALL", MOVE))
    move = stored_move(found)
    if move:
        return Misfit(Cause.MOVED, _moving(move))
    seen, adopts = mark.seen, mark.adopts  # read first, because another process may write the mark meanwhile
    [found] = await client.run(read("HGETALL", SCHEMA))
    if not found:
        if seen:
            return EMPTIED
        if await _looks_like_the_first(client):
            return misfit(Schema(FIRST, own.peppers[:1]), own)
        if not adopts:
            return None
        *_, found = await client.run(*(write("HSETNX", SCHEMA, *pair) for pair in own.fields().items()), read("HGETALL", SCHEMA))
    stored = stored_schema(found)
    if stored != own:
        return misfit(stored, own)
    mark.note()
    return None


async def _looks_like_the_first(client: StoreClient) -> bool:
    """Searches some keys of each primary."""
    for node in await client.primaries():
        [[_, names]] = await node.run(read("SCAN", 0, "MATCH", OF_FIRST_SCHEMA, "COUNT", KEYS_TO_LOOK_AT))
        if names:
            return True
    return False


def _moving(move: Move) -> str:
    if move.state is MoveState.LEFT:
        return (
            f"store.url: this store was moved to {move.other}; name that one. Back, without what was written there since: "
            "`identity-service move --undo STORE`"
        )
    if move.state is MoveState.ARRIVING:
        return f"store.url: the move of {move.other} into this store is not finished; run the same `identity-service move` again"
    return (
        f"store.url: the move of this store to {move.other} is not finished; run the same `identity-service move` again, or give it up "
        "with `identity-service move --undo STORE`"
    )


def continues(stored: Schema, own: Schema) -> bool:
    """Whether the peppers of `own` begin with those of the store, and the store's schema is no newer."""
    return stored.version <= own.version and stored.peppers == own.peppers[: len(stored.peppers)]


def misfit(stored: Schema, own: Schema) -> Misfit:
    """How two schemas differ, and what to do."""
    if stored.version > own.version:
        text = f"its keys are of schema {stored.version}, which a newer version of this service wrote; this one knows {own.version}"
        return Misfit(Cause.MOVED, f"store.url: {text}")
    if stored.peppers != own.peppers[: len(stored.peppers)]:
        text = "is not the one that this store was written under, so that no link in it would be found. Put the right one back; "
        return Misfit(
            Cause.PEPPER, f"secrets.pepper: {text}to change it, append the earlier one to secrets.former_peppers and {MOVE_AGAIN}"
        )
    if stored.peppers != own.peppers:
        return Misfit(Cause.PEPPER, f"secrets.pepper: is newer than this store, whose keys are under the earlier ones; {MOVE_AGAIN}")
    return Misfit(Cause.MOVED, f"store.url: its keys are of schema {stored.version}, this version uses {own.version}; {MOVE_AGAIN}")
