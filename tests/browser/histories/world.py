"""One browser before the real service: what its pages call goes through a network that fails as the dice say, and time passes as told."""

import heapq
import json
import math
import random
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from playwright._impl._driver import compute_driver_executable

from identity_service.app import Application
from identity_service.web.snippet import code
from tests.conftest import Clock
from tests.security.asgi import Answer, bearer, call

AGENT = "Mozilla/5.0 (X11) Gecko/20100101 Firefox/140.0"
PAGE = "http://localhost:8080"
SCRIPT = Path(__file__).parent / "browser.js"
UNDECIDED = {"visitor": None, "mode": None}


class Tabs:
    """The process with the pages of one browser. `untold`: what it is told with the next command, to spare an exchange."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self.untold: list[dict[str, Any]] = []

    def tell(self, op: str, **more: Any) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([*self.untold, {"op": op, **more}]).encode() + b"\n")
        self._process.stdin.flush()
        self.untold = []
        line = self._process.stdout.readline()
        assert line, "the pages' process has ended"
        told: dict[str, Any] = json.loads(line)
        return told

    def tell_later(self, op: str, **more: Any) -> None:
        self.untold.append({"op": op, **more})


@contextmanager
def tabs(snippet: str | None = None) -> Iterator[Tabs]:
    """`snippet`: another text than the product's."""
    node, _ = compute_driver_executable()
    with subprocess.Popen([node, str(SCRIPT), "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        made = Tabs(process)
        made.tell("snippet", code=code() if snippet is None else snippet)
        yield made
        assert process.stdin
        process.stdin.close()


@dataclass
class Sent:
    """A call on its way, with the cookies that the browser had as it was sent. `opened`: when its page was."""

    number: int
    page: int
    path: str
    body: dict[str, Any]
    cookies: str
    at: int
    opened: int
    aborted: bool = False


@dataclass
class Obeyed:
    """What the service answered to a call, as it did so, be it that only a refusal's cookie can keep it. `stored`: it could reach its
    store. `received`: when the browser got the answer."""

    sent: Sent
    at: int
    answer: dict[str, Any]
    stored: bool
    received: int | None = None

    @property
    def done(self) -> int:
        """When nothing of it is on its way any more."""
        return max(self.at, self.received or 0)

    @property
    def refuses(self) -> bool:
        """By what the call itself tells."""
        decision = self.answer["decision"]
        return bool(decision["reason"] == "consent_refused" and decision["signal"] != "refusal_cookie")


@dataclass
class World:
    """`ways`: how often a call goes which way. `gpc`: whether the browser sends it. `away`: the service cannot reach its store. `healed`:
    nothing fails any more. `refusals`: when a cookie was set, and of which minute
    it may be. Times are milliseconds since 1970."""

    tabs: Tabs
    service: Application
    without_store: Application
    clock: Clock
    dice: random.Random
    shop: str
    ways: Mapping[str, int]
    gpc: bool = False
    away: bool = False
    offline: bool = False
    healed: bool = False
    jar: dict[str, tuple[str, float]] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    obeyed: list[Obeyed] = field(default_factory=list)
    refusals: list[tuple[int, int]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    _events: list[tuple[int, int, str, Any]] = field(default_factory=list)
    _flying: dict[int, Sent] = field(default_factory=dict)
    _count: int = 0
    _wakes: float = 0
    """When a page does something by itself next."""
    waiting: bool = False

    @property
    def now(self) -> int:
        return round(self.clock.now * 1000)

    def note(self, text: str) -> None:
        self.log.append(f"{self.now / 1000:.3f} {text}")

    def do(self, op: str, **more: Any) -> Any:
        told = self.tabs.tell(op, now=self.now, **more)
        self._take(told)
        return told["result"]

    async def pass_time(self, milliseconds: int) -> None:
        until = self.now + milliseconds
        while self.now < until or self.tabs.untold or self._is_due():
            self._advance(min(self._events[0][0], until) if self._events else until)
            while self._is_due():
                await self._happen(heapq.heappop(self._events))

    def _is_due(self) -> bool:
        return bool(self._events) and self._events[0][0] <= self.now

    def _advance(self, until: int) -> None:
        """To the moment, or to when a page calls before it."""
        if not self.tabs.untold and until < self._wakes:
            self.clock.now = until / 1000
            return
        told = self.tabs.tell("advance", now=self.now, until=until)
        self.clock.now = told["now"] / 1000
        self._take(told)

    def heal(self) -> None:
        self.away, self.offline = False, False
        self.note("the network and the store are there")
        self.do("online")

    async def settle(self) -> None:
        """Until everything that a page wants to say has been heard."""
        self.healed = True
        self.heal()
        for _ in range(4):
            await self.pass_time(2_500)
        while self._events or self.waiting:
            await self.pass_time(5_000)
        self.healed = False

    def _take(self, told: dict[str, Any]) -> None:
        self.waiting = told["waiting"]
        self._wakes = math.inf if told["wakes"] is None else told["wakes"]
        for one in told["aborted"]:
            if one in self._flying:
                self.note(f"  #{one} given up by its page")
                self._flying[one].aborted = True
        for one in told["sent"]:
            self._send(Sent(one["id"], one["page"], one["path"], one["body"], self.cookies(), self.now, one["opened"]))

    def _send(self, sent: Sent) -> None:
        way = self._way()
        body = {name: value for name, value in sent.body.items() if name != "key"}
        self.note(f"  #{sent.number} page {sent.page} {sent.path} {json.dumps(body)} [{way}] {sent.cookies}")
        self._flying[sent.number] = sent
        self.sent.append(sent)
        if way == "unreachable":
            return self._plan(self.dice.randrange(5, 2_000), "fail", sent)
        if way in {"busy", "limited"}:
            return self._plan(self.dice.randrange(5, 500), way, sent)
        there = self.dice.randrange(500, 2_800) if way == "slow" else self.dice.randrange(5, 200)
        return self._plan(there, "arrive", (sent, way))

    def _way(self) -> str:
        if self.healed:
            return "quick"
        if self.offline:
            return "unreachable"
        return self.dice.choices(list(self.ways), list(self.ways.values()))[0]

    def _plan(self, after: int, what: str, about: Any) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.now + after, self._count, what, about))

    async def _happen(self, event: tuple[int, int, str, Any]) -> None:
        _, _, what, about = event
        if what == "arrive":
            return await self._arrive(*about)
        if what == "answer":
            return self._answer(*about)
        self.note(f"  #{about.number} {what}")
        del self._flying[about.number]
        if about.aborted:
            return None
        if what == "fail":
            return self.tabs.tell_later("fail", id=about.number)
        status, wait = (503, None) if what == "busy" else (429, str(self.dice.choice([1, 7, 60])))
        return self.tabs.tell_later("answer", id=about.number, status=status, headers={"retry-after": wait}, text="{}")

    async def _arrive(self, sent: Sent, way: str) -> None:
        if sent.aborted:
            del self._flying[sent.number]
            return None
        before, answer = len(self.obeyed), await self._call(sent)
        obeyed = self.obeyed[-1] if len(self.obeyed) > before else None
        back = self.dice.randrange(500, 4_000) if way == "slow" else self.dice.randrange(5, 200)
        if way == "lost":
            return self._plan(back, "fail", sent)
        return self._plan(back, "answer", (sent, answer, obeyed))

    def _answer(self, sent: Sent, answer: Answer, obeyed: Obeyed | None) -> None:
        del self._flying[sent.number]
        if sent.aborted:
            return
        if obeyed:
            obeyed.received = self.now
        self.keep_cookies(answer)
        headers = {name: value for name, value in answer.headers if name == "retry-after"}
        self.tabs.tell_later("answer", id=sent.number, status=answer.status, headers=headers, text=answer.body.decode())

    def cookies(self) -> str:
        return "; ".join(f"{name}={value}" for name, (value, ends) in self.jar.items() if ends > self.clock.now)

    def refused_at(self) -> int:
        """As the newest refusal cookie tells, or now."""
        cookies = f"; {self.cookies()}"
        minutes = [int(minute) for minute in re.findall(r"; __(?:Host|Secure)-visitor-choice=refused\.(\d+)", cookies)]
        return (max(minutes) + 1) * 60_000 - 1 if minutes and "; visitor-choice" not in cookies else self.now

    def keep_cookies(self, answer: Answer) -> None:
        for line in answer.all("set-cookie"):
            pair, *attributes = line.split("; ")
            name, _, value = pair.partition("=")
            life = next(int(one.removeprefix("Max-Age=")) for one in attributes if one.startswith("Max-Age="))
            self.jar.pop(name, None)
            if life > 0:
                self.jar[name] = (value, self.clock.now + life)
            self.note(f"    cookie {name}={value if life > 0 else '(gone)'}")

    async def ask(self, body: dict[str, Any], *, server: bool = False) -> Answer:
        """For the visitor, as the browser itself or as a server beside it."""
        return await self._call(Sent(0, 0, "/v1/visitors", body, self.cookies(), self.now, self.now), server=server)

    async def verify(self, token: str) -> Answer:
        body = {"key": f"{self.shop}-public-key", "token": token}
        return await call(self.service, "POST", "/v1/verifications", (b"origin", PAGE.encode()), body=body)

    async def _call(self, sent: Sent, *, server: bool = False) -> Answer:
        """`server`: one with a private key, which describes its visitor."""
        body, headers = sent.body, [(b"cookie", sent.cookies.encode())] * bool(sent.cookies)
        if server:
            body = body | {"client": {"ip": "203.0.113.7", "user_agent": AGENT, "gpc": self.gpc}}
            headers.append(bearer(f"{self.shop}-private-key"))
        else:
            body = body | {"key": f"{self.shop}-public-key"}
            headers += [(b"origin", PAGE.encode()), (b"user-agent", AGENT.encode())] + [(b"sec-gpc", b"1")] * self.gpc
        answer = await call(self.without_store if self.away else self.service, "POST", sent.path, *headers, body=body)
        self._take_down(sent, answer)
        return answer

    def _take_down(self, sent: Sent, answer: Answer) -> None:
        minutes = [int(minute) for line in answer.all("set-cookie") for minute in re.findall(r"=refused\.(\d+)", line)]
        said = said_at(sent)  # the service counts its age from its arrival
        counts_from = self.now if said is None else said + self.now - sent.at
        self.refusals += [(self.now, min(minute, counts_from // 60_000)) for minute in minutes]
        told = answer.json if answer.status == 200 else UNDECIDED | {"decision": {"reason": answer.json["code"], "signal": None}}
        self.note(f"    answer {answer.status} {told['mode']} {told['visitor']} {told['decision']}")
        refusing = answer.status == 503 and sent.body.get("said") == "now" and not grants(sent.body)
        if answer.status == 200 or minutes or refusing:
            self.obeyed.append(Obeyed(sent, self.now, told, not self.away))


def said_at(sent: Sent) -> int | None:
    """When a call says that somebody refused, if it says so."""
    consent = sent.body.get("consent")
    if isinstance(consent, dict) and "decided_at" in consent:
        return round(datetime.fromisoformat(consent["decided_at"]).timestamp() * 1000)
    if sent.body.get("said") == "now" and "age_ms" in sent.body:
        return sent.at - int(sent.body["age_ms"])
    return None


def grants(body: dict[str, Any]) -> bool:
    """Whether a page's post grants, in the words of its banner."""
    consent = body.get("consent")
    if isinstance(consent, str):
        return consent == "granted"
    if isinstance(consent, dict):
        return (
            set(consent["purposes"].values()) == {"granted"} and "google" not in consent
            if "purposes" in consent
            else bool(consent["statistics"])
        )
    if "state" in body:
        return bool(body["state"]["analytics_storage"] == "granted")
    if "data" in body:
        return bool(body["data"]["consents"]["visitor-id"])
    text = body.get("OptanonConsent") or body.get("orejime") or body.get("klaro") or ""
    return "C0002%3A1" in text or '"visitor-id":true' in text or "%22visitor-id%22%3Atrue" in text
