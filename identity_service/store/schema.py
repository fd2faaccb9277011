"""What a store says of itself, so that no service mistakes it: by which schema and under which peppers its keys are named (`{schema}`), and
whether it is being moved (`{move}`).

A store without these marks is under the oldest pepper. It is of the first schema where it holds keys of that, which is older than the
marks; else it is taken for that of the service that first starts on it. One whose mark a service has seen, and that has lost it, was
emptied: no service goes on with it, or another could come with other peppers.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from identity_service.model.handle import Handles
from identity_service.store.keys import MOVE, SCHEMA
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import read, write

FIRST, VERSION = 1, 2
"""Of the schema of keys. Every change of it has a step in `ops.move`."""

OF_FIRST_SCHEMA = "id:v1:[^{]*"
"""As SCAN looks for names of keys of the first schema: all but the marks of the store."""

MARK_VARIABLE = "IDENTITY_MARK"
"""Where workers find the file of SeenMark that their supervisor made."""

KEYS_TO_LOOK_AT = 1_000
"""Of each primary of a store without a mark, for those of the first schema."""
MOVE_AGAIN = "run `identity-service move FROM TO`"


EMPTIED = (
    "store.url: this store was emptied while the service ran on it, its mark has gone. Restore it and send SIGHUP; to go on with an empty "
    "store, stop the service and start it again"
)


class SeenMark:
    """Whether the store bore this service's mark. `path`: a file by which all processes of one service know, and which is there once one of
    them has seen it. Those that have such a file put the mark on a store that never had one."""

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
            with contextlib.suppress(FileNotFoundError):  # the service ends, and its folder has gone
                self._path.touch(mode=0o600)
        self._seen = True


class MoveState(StrEnum):
    """Of the store that is moved: leaving, left. Of the other: arriving."""

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
    """`nonce`: the same on both sides of one move. `other`: the other side, for people. `peppers`: fingerprints of those at its end."""

    nonce: str
    state: MoveState
    other: str
    peppers: tuple[str, ...]

    def fields(self) -> dict[str, str]:
        return {"nonce": self.nonce, "state": self.state, "other": self.other, "peppers": " ".join(self.peppers)}


def schema_of(peppers: Sequence[str]) -> Schema:
    """That of this version and of settings with these peppers, oldest first."""
    return Schema(VERSION, Handles(*peppers).fingerprints)


def stored_schema(found: Mapping[str, str]) -> Schema:
    """`found`: the mark."""
    return Schema(int(found["version"]), tuple(found["peppers"].split()))


def stored_move(found: Mapping[str, str]) -> Move | None:
    return Move(found["nonce"], MoveState(found["state"]), found["other"], tuple(found["peppers"].split())) if found else None


async def examine_marks(client: StoreClient, own: Schema, mark: SeenMark) -> list[str]:
    """Why a service with the schema `own` must not run on the store, in at most one line. Raises StoreUnavailable."""
    [found] = await client.run(read("HGETALL", MOVE))
    move = stored_move(found)
    if move:
        return [_moving(move)]
    seen, adopts = mark.seen, mark.adopts  # before the look: another process may put the mark on just behind it
    [found] = await client.run(read("HGETALL", SCHEMA))
    if not found:
        if seen:
            return [EMPTIED]
        if await _looks_like_the_first(client):
            return [misfit(Schema(FIRST, own.peppers[:1]), own)]
        if not adopts:
            return []
        *_, found = await client.run(*(write("HSETNX", SCHEMA, *pair) for pair in own.fields().items()), read("HGETALL", SCHEMA))
    stored = stored_schema(found)
    if stored != own:
        return [misfit(stored, own)]
    mark.note()
    return []


async def _looks_like_the_first(client: StoreClient) -> bool:
    """By some keys of each primary."""
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
    """Whether all that `own` knows of peppers begins with those that the store is under, and its schema is no newer."""
    return stored.version <= own.version and stored.peppers == own.peppers[: len(stored.peppers)]


def misfit(stored: Schema, own: Schema) -> str:
    """What is wrong about two that differ, and what to do."""
    if stored.version > own.version:
        return (
            f"store.url: its keys are of schema {stored.version}, which a newer version of this service wrote; this one knows {own.version}"
        )
    if stored.peppers != own.peppers[: len(stored.peppers)]:
        return (
            "secrets.pepper: is not the one that this store was written under, so that no link in it would be found. Put the right one "
            f"back; to change it, append the earlier one to secrets.former_peppers and {MOVE_AGAIN}"
        )
    if stored.peppers != own.peppers:
        return f"secrets.pepper: is newer than this store, whose keys are under the earlier ones; {MOVE_AGAIN}"
    return f"store.url: its keys are of schema {stored.version}, this version uses {own.version}; {MOVE_AGAIN}"
