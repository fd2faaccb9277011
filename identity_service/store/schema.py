"""What a store says of itself, so that no service mistakes it: by which schema and under which peppers its keys are named (`{schema}`), and
whether it is being moved (`{move}`).

A store of before these marks is of the first schema and under one pepper, and is taken for that of the service that first starts on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from identity_service.handle import Handles
from identity_service.store.batch import read, write
from identity_service.store.client import Client
from identity_service.store.keys import MOVE, SCHEMA

FIRST = VERSION = 1
"""Of the schema of keys. Every change of it has a step in `moving`."""

MOVE_AGAIN = "run `identity-service move FROM TO`"


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


def stored_schema(found: Mapping[str, str], own: Schema) -> Schema:
    """`found`: the mark; a store without one is of the first schema and under the oldest pepper."""
    return Schema(int(found["version"]), tuple(found["peppers"].split())) if found else Schema(FIRST, own.peppers[:1])


def stored_move(found: Mapping[str, str]) -> Move | None:
    return Move(found["nonce"], MoveState(found["state"]), found["other"], tuple(found["peppers"].split())) if found else None


async def examine_marks(client: Client, own: Schema, *, adopt: bool) -> list[str]:
    """Why a service with the schema `own` must not run on the store, in at most one line. `adopt`: a store without a mark bears its mark
    from now on. Raises StoreUnavailable."""
    [found] = await client.run(read("HGETALL", MOVE))
    move = stored_move(found)
    if move:
        return [_moving(move)]
    mark = [write("HSETNX", SCHEMA, field, value) for field, value in own.fields().items()] if adopt else []
    *_, found = await client.run(*mark, read("HGETALL", SCHEMA))
    stored = stored_schema(found, own)
    return [misfit(stored, own)] if found and stored != own else []


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
