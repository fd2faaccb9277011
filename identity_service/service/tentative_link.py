"""A sale's link, begun beside the sale's own steps: announced while the sale is indexed, pointed to while it is claimed.

Until the sale is claimed, it takes nobody's place, and no failure counts: where a step is not done at once, the whole link is made after
the claim, as any other.
"""

import contextlib

from identity_service.errors import StoreUnavailable
from identity_service.store.links import Attempt, LinkStore


class TentativeLink:
    """Its steps in this order: `announce`, `point`, then `end`; or `give_up` in place of either of the last two."""

    def __init__(self, links: LinkStore, attempt: Attempt) -> None:
        self._links = links
        self._attempt = attempt
        self._announced = ""
        self._pointed = False
        self._expires: int | None = None

    async def announce(self) -> None:
        with contextlib.suppress(StoreUnavailable):
            [self._announced, *_] = await self._links.announce(self._attempt, tentative=True)

    async def point(self) -> None:
        if self._announced != "ok":
            return
        self._pointed = True
        with contextlib.suppress(StoreUnavailable):
            outcome, *expires = await self._links.point(self._attempt)
            self._expires = int(expires[0]) if outcome == "ok" else None

    async def end(self) -> None:
        """Raises ConsentRequired, Invalid where a cap is reached, or StoreUnavailable; then there is no link."""
        if self._expires is None:
            await self.give_up()
        elif await self._links.confirm(self._attempt, self._expires):
            return
        one = self._attempt
        await self._links.link(one.shop, one.handle, one.linkable, one.source, one.now)

    async def give_up(self) -> None:
        """What fails here, or had no answer, the repair ends."""
        if self._pointed:
            with contextlib.suppress(StoreUnavailable):
                await self._links.abandon(self._attempt)
        elif self._announced:
            self._links.retract(self._attempt)
        self._announced, self._pointed = "", False
