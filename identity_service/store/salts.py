"""Salts: one per shop and window, made atomically. A worker forgets a salt when the store does."""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable

from identity_service.model.cookieless import SALT_BYTES, Window
from identity_service.model.shop import ShopId
from identity_service.store.keys import Keys
from identity_service.store.noted import NotedShops
from identity_service.store.redis.client import StoreClient
from identity_service.store.redis.command import call, read

EXPIRY_SLACK = 60
"""Seconds by which the store's clock may be behind when a salt expires."""


class SaltStore:
    """`name`: the store's key of a salt, by shop and start of the window. `key_of`: the key that a salt gives."""

    def __init__(
        self, client: StoreClient, keys: Keys, noted: NotedShops, name: Callable[[ShopId, int], str], key_of: Callable[[bytes], bytes]
    ) -> None:
        self._client = client
        self._keys = keys
        self._noted = noted
        self._name = name
        self._key_of = key_of
        self._held: dict[tuple[ShopId, int], tuple[bytes, int]] = {}
        self._next_destroyed = 0

    async def key(self, shop: ShopId, window: Window, now: int) -> bytes:
        """The key of the window. The salt is made if there is none. Raises StoreUnavailable."""
        key = self._in_memory(shop, window, now)
        if key is None:
            proposed = urlsafe_b64encode(secrets.token_bytes(SALT_BYTES)).decode()
            keys, ended = (self._name(shop, window.start), self._keys.rewrite(shop)), window.salt_destroyed_at + EXPIRY_SLACK
            with self._noted.noting(shop, ended):
                [text] = await self._client.run(call("claim_salt", keys, proposed, window.salt_destroyed_at - now, ended))
            key = self._hold(shop, window, text)
        return key

    async def earlier_key(self, shop: ShopId, window: Window, now: int) -> bytes | None:
        """The key of a window that has ended, or None if its salt is destroyed. No salt is made."""
        if window.salt_destroyed_at <= now:
            return None
        key = self._in_memory(shop, window, now)
        if key is None:
            [text] = await self._client.run(read("GET", self._name(shop, window.start)))
            key = self._hold(shop, window, text) if text else None
        return key

    def forget_destroyed(self, now: int) -> None:
        if now >= self._next_destroyed:
            self._held = {key: held for key, held in self._held.items() if held[1] > now}
            self._next_destroyed = min((until for _, until in self._held.values()), default=0)

    def _in_memory(self, shop: ShopId, window: Window, now: int) -> bytes | None:
        self.forget_destroyed(now)
        held = self._held.get((shop, window.start))
        return held[0] if held else None

    def _hold(self, shop: ShopId, window: Window, text: str) -> bytes:
        key, until = self._key_of(urlsafe_b64decode(text)), window.salt_destroyed_at
        self._held[shop, window.start] = key, until
        self._next_destroyed = min(self._next_destroyed or until, until)
        return key
