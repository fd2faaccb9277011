"""Replies of the store that never come, come in half or as garbage: nothing is doubled, and nobody is told what concerns another."""

from pathlib import Path

from tests.faults.checker import AssertKept
from tests.faults.history import History, Kind, Operation, Outcome
from tests.faults.load import Load
from tests.faults.proxy import Conditions, Fault, Proxy, proxied
from tests.faults.running import RunningService, RunningStore


def told_of_others(history: History) -> list[Operation]:
    """Answers that name a visitor, or show an email's visitors, of which their caller cannot have known."""
    named = {(one.shop, one.email, one.visitor) for one in history.operations if one.kind in {Kind.LINK, Kind.SALE}}
    found: list[Operation] = []
    for one in history.operations:
        if one.outcome is not Outcome.OK:
            continue
        if one.kind in {Kind.GRANT, Kind.LINK} and one.answer["visitor"] != one.visitor:
            found.append(one)
        if one.kind is Kind.LOOKUP:
            found += [one for shown in one.answer["visitors"] if (one.shop, one.email, shown["visitor"]) not in named]
    return found


def test_an_answer_that_was_meant_for_another_is_seen() -> None:
    history = History()
    for visitor, shown in [("v1", "v1"), ("v2", "v1")]:
        asked = {"visitor": visitor, "email": f"{visitor}@example.com"}
        history.record(Operation(Kind.LINK, "demo", asked, 0, 1, Outcome.OK, 200, {"visitor": shown}))
        history.record(Operation(Kind.LOOKUP, "demo", asked, 2, 3, Outcome.OK, 200, {"visitors": [{"visitor": shown}]}))
    assert told_of_others(history) == history.operations[2:]


def suffer(fault: Fault, proxy: Proxy, load: Load, writes: int) -> None:
    """One reply in a hundred, and five at least."""
    enough = proxy.struck + 5
    proxy.conditions = Conditions(fault=fault, share=0.01)
    load.wait(writes)
    load.wait_until(lambda _: proxy.struck >= enough)
    proxy.conditions = Conditions()


def test_broken_replies_double_nothing_and_cross_nobodys_talk(tmp_path: Path, writes: int, assert_kept: AssertKept) -> None:
    with (
        RunningStore(tmp_path / "store") as store,
        proxied(store.url) as proxy,
        RunningService(tmp_path / "service", proxy.url) as service,
    ):
        with Load(service.url) as load:
            for fault in Fault:
                suffer(fault, proxy, load, writes // len(Fault))
        assert told_of_others(load.history) == []
        assert_kept(load.history, service)
