"""A store whose every call is a step that the test decides about, operations on it, and what is left in it."""

from collections.abc import Awaitable, Callable, Sequence

import redis

from identity_service.model.consent import NEVER_SEEN, Choice, Consent, Millis, OptOut
from identity_service.model.event import Event, EventType
from identity_service.model.handle import Handle, HandleKind, Handles
from identity_service.model.link import LinkCaps, LinkSource, Proof
from identity_service.model.shop import ShopId
from identity_service.model.visitor import Kind, VisitorId
from identity_service.service.sell import _without_obstacle
from identity_service.store import Retention, Store
from identity_service.store.events import Entry, Kept
from identity_service.store.links import Linkable, LinkCall
from identity_service.store.sales import MOST_SALES, HandleOfSale, NewSale, OfVisitor, SaleAnswer
from identity_service.store.visitors import Grant, StoredReceipt
from tests.faults.steps import Crash, SteppedClient
from tests.faults.whole import dumped, faults_of

SHOP = ShopId("demo")
NOW = 1_795_000_000
YEAR = 31_536_000
HANDLES = Handles("development-only-pepper-of-the-demo-shops-00000001--")
RECEIPT = StoredReceipt("r", "{}", YEAR)
CAPS = LinkCaps(1_000, 20)
KEPT = Kept(most=10, life=YEAR, from_first=False)
FIELDS = {HandleKind.EMAIL: "email", HandleKind.CUSTOMER: "customer"}


class World:
    def __init__(
        self, url: str, database: redis.Redis, client: SteppedClient | None = None, caps: LinkCaps = CAPS, most_sales: int = MOST_SALES
    ) -> None:
        self.client = client or SteppedClient(url)
        self.store = Store(self.client, HANDLES, caps, Retention(400, 400, 400), 100)
        self.store.sales.most = most_sales
        self.caps = caps
        self.database = database

    def handle(self, email: str) -> Handle:
        return HANDLES.of_email(SHOP, email)

    async def grant(
        self,
        visitor: VisitorId,
        at: int = NOW * 1000,
        linking: Choice | None = None,
        now: int = NOW,
        source: str = "plain",
        *,
        said_now: bool = False,
    ) -> str:
        """`at`: milliseconds. Returns the outcome."""
        expires = at // 1000 + YEAR
        grant = Grant(Consent(Millis(at), source, linking), expires, OptOut.NONE, NEVER_SEEN, RECEIPT, "q", None, said_now=said_now)
        return await self.store.visitors.grant(SHOP, visitor, grant, now)

    async def link(self, handle: Handle, visitor: VisitorId, proof: Proof = Proof.KEY, now: int = NOW, ends: int = NOW + YEAR) -> None:
        """Of an own ID. `ends`: of a record that is made for it."""
        await self.store.links.link(link_call(handle, visitor, proof, now, ends))

    async def link_granted(self, handle: Handle, visitor: VisitorId, now: int = NOW) -> None:
        """Of one that has granted, and otherwise of nobody."""
        linkable = Linkable(visitor, Kind.PERSISTENT, 0, False, Proof.KEY)
        await self.store.links.link(LinkCall(SHOP, handle, linkable, LinkSource.LINK, now))

    async def unlink(self, handle: Handle, visitor: VisitorId) -> bool:
        return await self.store.links.unlink(SHOP, handle, visitor, NOW)

    async def withdraw(self, visitor: VisitorId, at: int = NOW * 1000) -> None:
        await self.store.removals.withdraw(SHOP, visitor, Millis(at))

    async def erase(self, handle: Handle, at: int = NOW * 1000, *, unproven: bool = False) -> None:
        await self.store.removals.erase(SHOP, handle, Millis(at), unproven=unproven)

    async def refuse_linking(self, visitor: VisitorId, now: int = NOW) -> None:
        await self.store.visitors.refuse_linking(SHOP, visitor, Kind.CHOSEN, NOW + YEAR, now, RECEIPT, "q")

    async def click(self, visitor: VisitorId, now: int = NOW) -> str:
        """Returns kept or gone."""
        outcome, _ = await self.store.events.record(SHOP, visitor, Entry(Event(EventType.CLICK, now), KEPT, now))
        return outcome

    async def sell(
        self, sale: str, visitor: VisitorId | None, handles: Sequence[Handle], proof: Proof = Proof.KEY, now: int = NOW
    ) -> SaleAnswer:
        """As the service sells: what the sale cannot name, it does not."""
        if visitor:
            await self.store.visitors.look_up(SHOP, [visitor], now)
        named = [HandleOfSale(one, link_call(one, visitor, proof, now, NOW + YEAR) if visitor else None) for one in handles]
        leaving, told_leaving = dict[str, dict[str, str]](), 0
        while True:
            fields = {"sale": sale, "time": str(now), "products": "[]", "verified": "1"} | ({"visitor": visitor} if visitor else {})
            fields |= {FIELDS[one.handle.kind]: one.handle.name for one in named if one.named}
            of = None
            if visitor:
                of = OfVisitor(visitor, self.store.events.assumption(SHOP, visitor), Entry(Event(EventType.CLICK, now), KEPT, now))
            answer = await self.store.sales.sell(SHOP, NewSale(sale, fields, float(now), of, named, None, leaving, told_leaving))
            if answer.outcome in {"sold", "known", "otherwise"}:
                return answer
            if answer.outcome == "leaves":
                leaving, told_leaving = await self.store.sales.named_by(SHOP, answer.told), told_leaving + 1
            elif answer.place is None:
                visitor, named = None, []
            else:
                named = _without_obstacle(named, answer.place, answer, patient=True)

    async def repair(self, now: int = NOW) -> int:
        """As the service does, once all that was noted by `now` is due; returns how many erasures it ended."""
        return await self.store.repair.run([SHOP], Millis((now + 120) * 1000))

    async def crashes(self, operation: Awaitable[object]) -> bool:
        """Whether the process died in it; then another one goes on."""
        try:
            await operation
        except Crash:
            return True
        finally:
            self.client.revive()
        return False

    def linked(self, handle: Handle, visitor: VisitorId) -> bool:
        return bool(self.database.hexists(self.store.keys.handle(SHOP, handle), visitor))

    def links(self, handle: Handle) -> dict[str, str]:
        """Visitor → letter of its proof."""
        return {str(visitor): str(link)[-1] for visitor, link in self.database.hgetall(self.store.keys.handle(SHOP, handle)).items()}

    def gone(self, visitor: VisitorId) -> bool:
        return bool(self.database.exists(self.store.keys.visitor(SHOP, visitor).gone))

    def recorded(self, visitor: VisitorId) -> bool:
        return bool(self.database.exists(self.store.keys.visitor(SHOP, visitor).record))

    def noted(self) -> int:
        """Erasures that a crash left open."""
        return int(self.database.zcard(self.store.keys.erasures(SHOP)))

    def assert_whole(self) -> None:
        """Holds after every step of every call, without any repair."""
        faults = faults_of(dumped(self.database), self.store.keys, self.caps)
        assert not faults, "\n".join(faults)


def link_call(handle: Handle, visitor: VisitorId, proof: Proof, now: int, ends: int) -> LinkCall:
    return LinkCall(SHOP, handle, Linkable(visitor, Kind.CHOSEN, ends, False, proof), LinkSource.LINK, now)


Operation = Callable[[World, Handle, VisitorId], Awaitable[object]]


def _grant(world: World, handle: Handle, visitor: VisitorId) -> Awaitable[object]:
    return world.grant(visitor, NOW * 1000 + 1)


def _refusing_grant(world: World, handle: Handle, visitor: VisitorId) -> Awaitable[object]:
    return world.grant(visitor, NOW * 1000 + 1, Choice.REFUSED)


def _withdraw(world: World, handle: Handle, visitor: VisitorId) -> Awaitable[object]:
    return world.withdraw(visitor)


def _refuse_linking(world: World, handle: Handle, visitor: VisitorId) -> Awaitable[object]:
    return world.refuse_linking(visitor)


def _erase(world: World, handle: Handle, visitor: VisitorId) -> Awaitable[object]:
    return world.erase(handle)


OPERATIONS: dict[str, Operation] = {
    "link": World.link,
    "unlink": World.unlink,
    "withdraw": _withdraw,
    "erase": _erase,
    "refuse linking": _refuse_linking,
    "grant": _grant,
    "grant that refuses links": _refusing_grant,
}
REMOVALS = ("withdraw", "unlink", "erase", "refuse linking", "grant that refuses links")
"""After each of them, where it comes last, there is no link."""
