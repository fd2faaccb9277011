"""Numbers that stand for a shop's labels in its events: every click of an element repeats the same ones.

A number is a digest of its label, so that a number never comes to mean another label, however often a store loses its last writes. Two
labels of one number, labels beyond the cap, and those that this worker has not written yet stand in events as they are. Whatever was
clicked is written again with the counters, once a second; so a label stays as long as anybody clicks it.
"""

import zlib
from collections.abc import Iterable, Sequence

from identity_service.model.shop import ShopId
from identity_service.store.keys import Keys
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import Command, Reply, call, read

MOST_LABELS = 1_000
"""Of a shop."""
SHORTEST, LONGEST = 6, 100
"""Characters of a label that is given a number."""
LIFE = 400 * 86_400
"""Seconds after the last click of a shop: no event is kept so long."""


class LabelStore:
    """What this worker knows is written is kept in its memory, by shop."""

    def __init__(self, client: StoreClient, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._numbers: dict[ShopId, dict[str, int]] = {}
        self._labels: dict[ShopId, dict[int, str]] = {}

    def numbered(self, shop: ShopId, label: str) -> int | str:
        """A label as an event keeps it."""
        return self._numbers.get(shop, {}).get(label, label)

    def numbering(self, shop: ShopId, labels: Iterable[str]) -> tuple[Sequence[str], Command | None]:
        """What gives the labels numbers, as far as they are to have any; its reply is for `learn`."""
        told = [label for label in labels if SHORTEST <= len(label) <= LONGEST]
        pairs = [text for label in told for text in (zlib.crc32(label.encode("utf-8", "replace")) & 0xFFFF, label)]
        return told, call("number_labels", [self._keys.labels(shop)], MOST_LABELS, LIFE, *pairs) if told else None

    def learn(self, shop: ShopId, labels: Sequence[str], reply: Reply) -> None:
        """`reply`: the number of each label, 0 where it has none."""
        numbers = self._numbers.setdefault(shop, {})
        for label, number in zip(labels, reply, strict=True):
            if number:
                numbers[label] = int(number)
            else:
                numbers.pop(label, None)

    async def labels(self, shop: ShopId, numbers: Iterable[int]) -> dict[int, str]:
        """By number; one whose label the store has lost is left out."""
        known = self._labels.setdefault(shop, {})
        missing = sorted(set(numbers) - known.keys())
        if missing:
            [found] = await self._client.run(read("HMGET", self._keys.labels(shop), *missing))
            known |= {number: label for number, label in zip(missing, found, strict=True) if label is not None}
        return known
