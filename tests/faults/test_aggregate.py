"""Any sequence of operations on a shop, each with a process that may die before or after any of its store calls: after each, without any
repair, the store is whole, and holds what a plain model of it says."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import hypothesis.strategies as st
import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from identity_service.errors import ConsentRequired, Invalid
from identity_service.model.consent import Choice
from identity_service.model.handle import Handle
from identity_service.model.link import LinkCaps, Proof
from identity_service.model.visitor import VisitorId
from tests.faults.model import Model, Person, observed
from tests.faults.steps import Crash
from tests.faults.whole import dumped
from tests.faults.world import HANDLES, NOW, SHOP, World
from tests.stores import view
from tests.topologies import TOPOLOGIES

EMAILS = [HANDLES.of_email(SHOP, f"{name}@example.com") for name in "abc"]
VISITORS = [VisitorId(f"v{number}") for number in range(4)]
CAPS = LinkCaps(visitors_per_handle=2, emails_per_visitor=2)
MOST_SALES = 2
"""There are more visitors, emails and sales than have room, so that some give way."""
visitors, emails, customers = st.sampled_from(VISITORS), st.sampled_from(EMAILS), st.just(HANDLES.of_customer(SHOP, "C-1"))
handles, proofs = st.one_of(emails, customers), st.sampled_from(Proof)
offsets = st.sampled_from([-7, 0, 0, 30])
"""Seconds by which the time of a choice differs from the clock."""
crashes = st.one_of(st.none(), st.none(), st.tuples(st.sampled_from(["dies_before", "dies_after"]), st.integers(1, 6)))
DeathAt = tuple[str, int] | None


class Operations(RuleBasedStateMachine):
    """Each operation comes a second after the one before."""

    def __init__(self, url: str, database: redis.Redis) -> None:
        super().__init__()
        database.flushall()
        self.runner = asyncio.Runner()
        self.world = World(url, database, caps=CAPS, most_sales=MOST_SALES)
        self.digests = {self.world.store.keys.visitor_digest(SHOP, visitor): visitor for visitor in VISITORS}
        self.model, self.now = Model(), NOW

    def teardown(self) -> None:
        try:
            self.repair()
            assert self.world.noted() == 0
        finally:
            self.runner.run(self.world.client.close())
            self.runner.close()

    def run(
        self, operation: Coroutine[Any, Any, object], change: Callable[[Model], object], dies: DeathAt, *, partly: bool = False
    ) -> None:
        """Where it comes to its end, its outcome is the model's; else it is there whole, or not at all. `partly`: that holds of each
        person, link and order alone, and repair does the rest."""
        self.now += 1
        before, told = self.model.copy(), change(self.model)
        if dies:
            setattr(self.world.client, *dies)
        try:
            assert self.runner.run(operation) == told
        except Crash:
            found = self.found()
            assert found in (before, self.model) if not partly else is_between(found, before, self.model)
            self.model = found
        finally:
            self.world.client.revive()

    def found(self) -> Model:
        return observed(dumped(self.world.database), self.digests)

    @invariant()
    def the_store_is_whole(self) -> None:
        self.world.assert_whole()

    @invariant()
    def the_store_holds_what_the_model_says(self) -> None:
        people = {visitor: person for visitor, person in self.model.people.items() if person != Person()}
        assert self.found() == Model(people, self.model.links, self.model.orders)

    @rule(visitor=visitors, named=st.lists(st.tuples(handles, proofs), min_size=1, max_size=3), dies=crashes)
    def link_some(self, visitor: VisitorId, named: list[tuple[Handle, Proof]], dies: DeathAt) -> None:
        for handle, proof in named:
            self.link(handle, visitor, proof, dies)

    def link(self, handle: Handle, visitor: VisitorId, proof: Proof, dies: DeathAt) -> None:
        async def linked(now: int) -> str:
            try:
                await self.world.link(handle, visitor, proof, now)
            except ConsentRequired:
                return "forbidden"
            except Invalid:
                return "full"
            return "linked"

        now = self.now + 1
        self.run(linked(now), lambda model: model.link(handle.name, visitor, proof.letter, now, CAPS), dies)
        self.the_store_is_whole()

    @rule(handle=handles, visitor=visitors, dies=crashes)
    def unlink(self, handle: Handle, visitor: VisitorId, dies: DeathAt) -> None:
        self.run(self.world.unlink(handle, visitor), lambda model: model.links.pop((handle.name, visitor), None) is not None, dies)

    @rule(visitor=visitors, offset=offsets, refused=st.booleans(), said_now=st.booleans(), dies=crashes)
    def grant(self, visitor: VisitorId, offset: int, refused: bool, said_now: bool, dies: DeathAt) -> None:
        at, linking = (self.now + 1 + offset) * 1000, Choice.REFUSED if refused else None
        granting = self.world.grant(visitor, at, linking, self.now + 1, said_now=said_now)
        self.run(granting, lambda model: model.grant(visitor, at, refused=refused, said_now=said_now), dies)

    @rule(visitor=visitors, offset=offsets, dies=crashes)
    def withdraw(self, visitor: VisitorId, offset: int, dies: DeathAt) -> None:
        at = (self.now + 1 + offset) * 1000
        self.run(self.world.withdraw(visitor, at), lambda model: model.withdraw(visitor, at), dies)

    @rule(visitor=visitors, dies=crashes)
    def refuse_linking(self, visitor: VisitorId, dies: DeathAt) -> None:
        self.run(self.world.refuse_linking(visitor, self.now + 1), lambda model: model.refuse_linking(visitor), dies)

    @rule(visitor=visitors, dies=crashes)
    def click(self, visitor: VisitorId, dies: DeathAt) -> None:
        self.run(self.world.click(visitor, self.now + 1), lambda model: model.click(visitor), dies)

    @rule(
        sale=st.integers(1, 12),
        visitor=st.one_of(st.none(), visitors),
        email=st.one_of(st.none(), emails),
        customer=st.one_of(st.none(), customers),
        proof=proofs,
        dies=crashes,
    )
    def sell(
        self, sale: int, visitor: VisitorId | None, email: Handle | None, customer: Handle | None, proof: Proof, dies: DeathAt
    ) -> None:
        named, now = [one for one in (email, customer) if one], self.now + 1

        async def sold() -> str:
            return (await self.world.sell(str(sale), visitor, named, proof, now)).outcome

        names = [one.name for one in named]
        self.run(sold(), lambda model: model.sell(str(sale), visitor, names, proof.letter, now, CAPS, MOST_SALES), dies)

    @rule(handle=handles, unproven=st.booleans(), dies=crashes)
    def erase(self, handle: Handle, unproven: bool, dies: DeathAt) -> None:
        now = self.now + 1
        at = self.model.time_of_erasure(handle.name, now * 1000)
        erasing = self.world.erase(handle, now * 1000, unproven=unproven)
        self.run(erasing, lambda model: model.erase(handle.name, at, unproven=unproven), dies, partly=True)

    @rule(handle=handles, visitor=visitors, proof=proofs, call=st.integers(3, 6))
    def link_amid_an_erasure(self, handle: Handle, visitor: VisitorId, proof: Proof, call: int) -> None:
        """Of a second later than the erasure, which repair resumes."""
        self.erase(handle, False, ("dies_after", call))
        self.link(handle, visitor, proof, None)
        self.repair()

    @rule()
    def repair(self) -> None:
        notes: Any = self.world.database.zrange(self.world.store.keys.erasures(SHOP), 0, -1, withscores=True)
        for note, at in notes:
            reach, name, _ = str(note).split(" ")
            self.model.erase(name, int(at), unproven=reach == "a")
        assert self.runner.run(self.world.repair(self.now)) == len(notes)
        self.the_store_holds_what_the_model_says()


def is_between(found: Model, before: Model, after: Model) -> bool:
    """Whether each person, link and order is as before or as after."""
    for left, earlier, later in (
        (found.people, before.people, after.people),
        (found.links, before.links, after.links),
        (found.orders, before.orders, after.orders),
    ):
        if any(left.get(one) not in (earlier.get(one), later.get(one)) for one in {*left, *earlier, *later}):
            return False
    return True


def explore(url: str, database: redis.Redis, examples: int, steps: int) -> None:
    checks = settings(max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(partial(Operations, url, database), settings=checks)  # type: ignore[arg-type]  # calls it as a class


def test_after_any_operations_and_crashes_the_store_is_whole(store_url: str, database: redis.Redis, long: bool) -> None:
    explore(store_url, database, 1_000 if long else 100, 40)


@pytest.mark.parametrize("name", ["sentinel", "cluster"])
def test_the_same_holds_on(name: str) -> None:
    with TOPOLOGIES[name]() as topology, view(topology.url) as database:
        explore(topology.url, database, 3, 30)
