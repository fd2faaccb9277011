"""Big-endian bit fields in base64url text without padding (RFC 4648 section 5), as TC strings and GPP strings carry them."""

import re
from base64 import urlsafe_b64decode

_ALPHABET = re.compile(r"[A-Za-z0-9_-]*")


class Bits:
    """Reads once, from the first bit on. Each character is six bits, so any number of characters is whole text, as GPP headers need.

    Raises ValueError for a character outside the alphabet and for a read past the end. A read costs the bytes it covers, never the
    length of the text.
    """

    __slots__ = ("_at", "_bytes", "_end")

    def __init__(self, text: str) -> None:
        if _ALPHABET.fullmatch(text) is None:
            raise ValueError("not base64url")
        self._bytes = urlsafe_b64decode(text + "A" * (-len(text) % 4))
        self._at = 0
        self._end = 6 * len(text)

    @property
    def left(self) -> int:
        return self._end - self._at

    def take(self, n: int) -> int:
        """The next `n` bits as a number; nothing is read when fewer are left."""
        if not 0 <= n <= self.left:
            raise ValueError("short read")
        start, stop = self._at, self._at + n
        self._at = stop
        covered = int.from_bytes(self._bytes[start // 8 : -(-stop // 8)], "big")
        return (covered >> (-stop % 8)) & ((1 << n) - 1)

    def flag(self) -> bool:
        return self.take(1) == 1
