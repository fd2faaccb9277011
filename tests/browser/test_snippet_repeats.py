"""What the snippet repeats after a failure, in pages without a window. No service: the test answers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.histories.world import Tabs, tabs

SECOND = 1_000


@pytest.fixture(scope="module")
def pages() -> Iterator[Tabs]:
    with tabs() as made:
        yield made


class Page:
    """One page without a banner, on whose own form somebody chooses."""

    def __init__(self, pages: Tabs) -> None:
        self.pages = pages
        self.now = SECOND
        pages.tell("browser", now=self.now, key="demo-public-key", banner="none")
        [first] = pages.tell("open", now=self.now, tab=1)["sent"]
        assert self.answer(first) == []

    def say(self, choice: str) -> list[dict[str, Any]]:
        return self._sent(self.pages.tell("choose", now=self.now, tab=1, choice=choice, voice="own"))

    def answer(self, call: dict[str, Any]) -> list[dict[str, Any]]:
        text = json.dumps({"visitor": None, "mode": "null", "token": None, "decision": {"reason": "no_signal"}})
        return self._sent(self.pages.tell("answer", now=self.now, id=call["id"], status=200, headers={}, text=text))

    def fail(self, call: dict[str, Any]) -> list[dict[str, Any]]:
        return self._sent(self.pages.tell("fail", now=self.now, id=call["id"]))

    def wait(self, milliseconds: int) -> list[dict[str, Any]]:
        told = self.pages.tell("advance", now=self.now, until=self.now + milliseconds)
        self.now = told["now"]
        return self._sent(told)

    def _sent(self, told: dict[str, Any]) -> list[dict[str, Any]]:
        return [one for one in told["sent"] if one["path"] == "/v1/consents"]


@pytest.mark.parametrize(("word", "other"), [("yes", "some"), ("some", "yes")])
def test_a_choice_that_is_made_again_while_it_is_repeated_is_told_again(pages: Tabs, word: str, other: str) -> None:
    page = Page(pages)
    [first] = page.say(word)
    assert page.say(other) == []
    [between] = page.fail(first)
    assert page.answer(between) == []
    [repeat] = page.wait(2 * SECOND)
    assert repeat["body"]["consent"] == first["body"]["consent"]
    assert repeat["body"]["age_ms"] >= SECOND
    assert page.say(word) == []
    [again] = page.answer(repeat)
    assert again["body"] == {**first["body"], "clock_ms": page.now}
