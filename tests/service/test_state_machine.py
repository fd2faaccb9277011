"""Visitors in random order against a model that fits on a page: who is linked to which email, who is gone."""

import asyncio
from typing import Any

import httpx2 as httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from identity_service.app import Application
from identity_service.model.visitor import LAPSED
from identity_service.settings.load import load
from tests.conftest import Clock
from tests.stores import PATIENT_STORE

EMAILS = ["a@example.com", "b@example.com", "c@example.com"]
DAY = 86_400


Known = tuple[str, str, float]
"""Visitor, token, and when the token ends by itself; 0 where it ends with its visitor."""


class Model:
    """`links`: email → visitor → when it ends (a month after a consent). `ends`: when a visitor's ID ends. `persistent`
    and `gone`: sets of visitors."""

    def __init__(self) -> None:
        self.links: dict[str, dict[str, float]] = {email: {} for email in EMAILS}
        self.ends: dict[str, float] = {}
        self.persistent: set[str] = set()
        self.gone: set[str] = set()

    def alive(self, known: "Known", now: float) -> bool:
        visitor, _, end = known
        return visitor not in self.gone and (end or self.ends[visitor]) > now

    def remove(self, visitor: str) -> None:
        self.gone.add(visitor)
        for held in self.links.values():
            held.pop(visitor, None)

    def of_email(self, email: str, now: float) -> set[str]:
        return {visitor for visitor, end in self.links[email].items() if end > now}

    def emails_of(self, visitor: str, now: float) -> set[str]:
        return {email for email in EMAILS if visitor in self.of_email(email, now)}


def machine(store_url: str, database: Any) -> type[RuleBasedStateMachine]:
    class Visitors(RuleBasedStateMachine):
        tokens = Bundle("tokens")

        def __init__(self) -> None:
            super().__init__()
            database.flushall()
            self.loop = asyncio.new_event_loop()
            self.clock = Clock()
            self.model = Model()
            self.application = Application(
                load("development", {"IDENTITY_STORE__URL": store_url, "IDENTITY_LIMITS__ENABLED": "false"} | PATIENT_STORE), self.clock
            )
            self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.application), base_url="http://service.test")

        def teardown(self) -> None:
            self.loop.run_until_complete(self.client.aclose())
            self.loop.run_until_complete(self.application.services.store.client.close())
            self.loop.close()

        def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
            sent = self.client.post(path, json=body, headers={"authorization": "Bearer demo-private-key"})
            answer = self.loop.run_until_complete(sent)
            assert answer.status_code < 500
            return answer.status_code, answer.json()

        @rule(target=tokens, consent=st.sampled_from(["granted", "unknown"]))
        def issue(self, consent: str) -> Known:
            _, answer = self.post("/v1/visitors", {"consent": consent})
            visitor = answer["visitor"]
            days = 390 if consent == "granted" else 1
            self.model.ends[visitor] = int(self.clock.now) + days * DAY
            if consent == "granted":
                self.model.persistent.add(visitor)
            return visitor, answer["token"], 0 if consent == "granted" else self.model.ends[visitor]

        @rule(target=tokens, known=tokens)
        def grant(self, known: Known) -> Known:
            self.clock.forward(0.01)
            visitor, token, _ = known
            alive = self.model.alive(known, self.clock.now)
            _, answer = self.post("/v1/consents", {"token": token, "consent": "granted"})
            assert answer["mode"] == "persistent"
            granted = answer["visitor"]
            assert (granted == visitor) == alive
            self.model.ends[granted] = int(self.clock.now) + 390 * DAY
            self.model.persistent.add(granted)
            for held in self.model.links.values():
                if granted in held and held[granted] > self.clock.now:
                    held[granted] = self.model.ends[granted] + LAPSED
            return granted, answer["token"], 0

        @rule(known=tokens, email=st.sampled_from(EMAILS))
        def link(self, known: Known, email: str) -> None:
            visitor, token, _ = known
            alive = self.model.alive(known, self.clock.now)
            status, _ = self.post("/v1/links", {"email": email, "token": token})
            assert (status == 200) == alive, status
            if alive:
                grace = LAPSED if visitor in self.model.persistent else 0
                self.model.links[email][visitor] = self.model.ends[visitor] + grace

        @rule(known=tokens, email=st.sampled_from(EMAILS))
        def unlink(self, known: Known, email: str) -> None:
            self.post("/v1/unlinks", {"email": email, "visitor": known[0]})
            self.model.links[email].pop(known[0], None)

        @rule(known=tokens, how=st.sampled_from([{"consent": "refused"}, {"visitor": None}]))
        def withdraw(self, known: Known, how: dict[str, Any]) -> None:
            _, answer = self.post("/v1/visitors", {"token": known[1], **how})
            assert answer["mode"] == "null"
            self.model.remove(known[0])

        @rule(known=tokens)
        def come_again(self, known: Known) -> None:
            visitor, token, _ = known
            _, answer = self.post("/v1/visitors", {"token": token})
            if visitor in self.model.gone:
                assert (answer["visitor"], answer["decision"]["reason"]) == (None, "withdrawn")
            elif self.model.alive(known, self.clock.now):
                assert answer["visitor"] == visitor
                assert answer["mode"] == ("persistent" if visitor in self.model.persistent else "cookieless")
            else:
                assert answer["visitor"] != visitor

        @rule(email=st.sampled_from(EMAILS))
        def erase(self, email: str) -> None:
            now = self.clock.now
            alone = {visitor for visitor in self.model.of_email(email, now) if self.model.emails_of(visitor, now) == {email}}
            _, answer = self.post("/v1/erasures", {"email": email})
            # a link past its end no longer counts, but goes with the rest while the store still holds it
            assert len(alone) <= answer["erased"]["visitors"] <= len(self.model.links[email])
            self.model.links[email].clear()
            for visitor in alone:
                self.model.remove(visitor)

        @rule(seconds=st.sampled_from([60, 3_600, DAY, 400 * DAY]))
        def wait(self, seconds: int) -> None:
            self.clock.forward(seconds)

        @rule()
        def repair(self) -> None:
            database.delete("id:v1:{repair-lock}")
            self.loop.run_until_complete(self.application.keep_up())

        @invariant()
        def a_look_up_is_what_the_model_says(self) -> None:
            _, answer = self.post("/v1/lookups", {"emails": EMAILS})
            for email, result in zip(EMAILS, answer["results"], strict=True):
                assert {one["visitor"] for one in result["visitors"]} == self.model.of_email(email, self.clock.now)
                for one in result["visitors"]:
                    assert one["shared"] == (len(self.model.emails_of(one["visitor"], self.clock.now)) > 1)

    return Visitors


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_random_histories_agree_with_the_model(store_url: str, database: Any) -> None:
    chosen = settings(max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(machine(store_url, database), settings=chosen)
