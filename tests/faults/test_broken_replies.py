"""Replies of the store that never come, come in half or as garbage: nothing is doubled, and nobody is told what concerns another."""

from pathlib import Path

from tests.faults.checker import check
from tests.faults.history import History, Kind, Outcome
from tests.faults.load import Load
from tests.faults.proxy import Conditions, Fault, proxied
from tests.faults.running import RunningService, RunningStore


def told_of_others(history: History) -> list[object]:
    """Answers that name a visitor, or show an email's visitors, of which their caller cannot have known."""
    named = {(one.shop, one.email, one.visitor) for one in history.operations if one.kind in {Kind.LINK, Kind.SALE}}
    found: list[object] = []
    for one in history.operations:
        if one.outcome is not Outcome.OK:
            continue
        if one.kind in {Kind.GRANT, Kind.LINK} and one.answer["visitor"] != one.visitor:
            found.append(one)
        if one.kind is Kind.LOOKUP:
            found += [one for shown in one.answer["visitors"] if (one.shop, one.email, shown["visitor"]) not in named]
    return found


def test_broken_replies_double_nothing_and_cross_nobodys_talk(tmp_path: Path, writes: int) -> None:
    with (
        RunningStore(tmp_path / "store") as store,
        proxied(store.url) as proxy,
        RunningService(tmp_path / "service", proxy.url) as service,
    ):
        with Load(service.url) as load:
            for fault in Fault:
                proxy.conditions, before = Conditions(fault=fault, share=0.01), proxy.struck
                load.wait(writes // 3)
                assert proxy.struck >= before + 5, fault
            proxy.conditions = Conditions()
        assert told_of_others(load.history) == []
        assert check(load.history, service.url, store.url) == []
