"""A person's history in one browser, drawn from a seed, and the modes that may come of it: the model knows what the person last said."""

import random
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from identity_service.app import Application
from tests.browser.histories.emphasis import DAY, MINUTE, SECOND, USUAL, Emphasis
from tests.browser.histories.world import Obeyed, Tabs, World, grants, said_at
from tests.conftest import START, Clock

REFUSAL_LIFE = 180 * DAY
LONGEST = 380 * DAY
"""Of a history: before any grant ends by itself."""
LONGEST_CALL = 3 * SECOND
ON_ITS_WAY = 14 * SECOND
"""No call without an age takes longer."""
PERSISTENT = re.compile(r"1p\.([A-Za-z0-9_-]{22})\.[A-Za-z0-9_.-]+")
"""A token, and its visitor's ID."""
AHEAD = 6 * MINUTE
"""A time so far ahead is none."""
ANOTHER_TEXT = (int(START) // 86_400 + 1) * DAY
"""From when on the shop `other` asks with another text, to which the yeses before do not belong."""
ENVIRONMENT = {
    "IDENTITY_SHOPS__OTHER__CONSENT_VERSION": "2",
    "IDENTITY_SHOPS__OTHER__CONSENT_VERSION_SINCE": datetime.fromtimestamp(ANOTHER_TEXT / 1000, UTC).isoformat(),
    "IDENTITY_SHOPS__OTHER__COOKIE_DOMAIN": "shop.example",
    "IDENTITY_SHOPS__OTHER__COOKIE_NAME": "__Secure-visitor",
}
"""The shop `other` also has its cookies for a domain, so that a browser may still have the refusal's of one host beside them."""
REFUSED_BEFORE = 100 * DAY
"""How long before the history such a cookie was set."""


@dataclass
class Word:
    """What the person said. `page` and `tab`: where. `own`: on the page's own form. `before`: heard before the history. `posts`: those
    that the service has heard as said now."""

    choice: str
    page: int
    at: int
    tab: int = 0
    own: bool = False
    posts: list[Obeyed] = field(default_factory=list)
    before: bool = False

    @property
    def heard(self) -> bool:
        """As the browser knows, too: it keeps the cookies of that answer, wherever its page is."""
        return self.before or any(one.received is not None for one in self.posts)

    @property
    def heard_at_once(self) -> bool:
        """Heard without a repeat, and the browser knows it."""
        return any(one.received is not None and "age_ms" not in one.sent.body for one in self.posts)

    @property
    def granted(self) -> bool:
        return self.choice == "yes"


class Difference(AssertionError):
    """What the service did is not what the person said."""


@dataclass
class Person:
    world: World
    dice: random.Random
    banner: str
    skew: int
    emphasis: Emphasis
    words: list[Word] = field(default_factory=list)
    open: list[int] = field(default_factory=list)
    opened: int = 0
    began: int = 0
    gpc_since_grant: bool = False
    banner_says: str | None = None
    dead: dict[str, str] = field(default_factory=dict)
    looked_at: int = 0
    left: set[tuple[int, int]] = field(default_factory=set)
    """Tabs whose page went, and when."""

    async def live(self, steps: int) -> None:
        self.began = self.world.now
        if self.dice.random() < self.emphasis.refused_before:
            self._remember_refusal()
        self.open_tab()
        acts = {act.__name__: act for act in self._acts()}
        weights = [self.emphasis.acts[name] for name in acts]
        scene = self.emphasis.scene
        for step in range(-len(scene), steps):
            name = scene[step] if step < 0 else self.dice.choices(list(acts), weights)[0]
            done = acts[name]()
            if done is not None:
                await done
            self._look()
            await self._wait(self._pause())
            self._look()
            if self.dice.random() < 0.05:
                await self.check()
        await self.check()
        await self._check_dead()

    def _remember_refusal(self) -> None:
        """In a cookie of an older form, or of a shop that had none for its domain."""
        at, ends = self.world.now - REFUSED_BEFORE, (self.world.now + LONGEST + DAY) / 1000
        name, value = ("__Host-visitor-choice", f"refused.{at // MINUTE}") if self.world.shop == "other" else ("visitor-choice", "refused")
        self.world.jar[name] = (value, ends)
        self.words.append(Word("no", 0, at, before=True))

    def _acts(self) -> list[Callable[[], Coroutine[Any, Any, None] | None]]:
        return [
            self.choose,
            self.open_tab,
            self.leave_tab,
            self.reload,
            self.visit,
            self.back,
            self.switch_gpc,
            self.ask_edge,
            self.switch_network,
            self.switch_store,
        ]

    def _pause(self) -> int:
        left = self.began + LONGEST - self.world.now
        pauses = self.emphasis.pauses
        pause = self.dice.choices(list(pauses), list(pauses.values()))[0]
        return self.dice.randrange(pause // 2, pause * 3 // 2) if pause < DAY * 30 else min(pause, max(left, SECOND))

    async def _wait(self, pause: int) -> None:
        """No outage lasts longer than a quarter of an hour, in which a page repeats itself thirty times."""
        if pause > 15 * MINUTE and (self.world.offline or self.world.away):
            await self.world.pass_time(5 * MINUTE)
            self.world.heal()
        await self.world.pass_time(pause)

    def _tab(self) -> int:
        return self.dice.choice(self.open)

    def open_tab(self) -> None:
        if len(self.open) == 3:
            return
        self.opened += 1
        self.open.append(self.opened)
        self.world.note(f"opens tab {self.opened}")
        self.world.do("open", tab=self.opened)

    def leave_tab(self) -> None:
        if len(self.open) < 2:
            return
        tab = self._tab()
        self.open.remove(tab)
        self.left.add((tab, self.world.now))
        self.world.note(f"closes tab {tab}")
        self.world.do("close", tab=tab)
        self._check_told(tab)

    def reload(self) -> None:
        self._move("reload")

    def visit(self) -> None:
        self._move("visit", cached=self.dice.random() < 0.8)

    def back(self) -> None:
        self._move("back", cached=self.dice.random() < 0.8)

    def _move(self, how: str, **more: Any) -> None:
        tab = self._tab()
        self.left.add((tab, self.world.now))
        self.world.note(f"{how} in tab {tab} {more or ''}")
        self.world.do(how, tab=tab, **more)
        self._check_told(tab)

    def _check_told(self, tab: int) -> None:
        """A page that has gone has at least tried to tell what was said on it last, or another one has heard the same by what its banner
        keeps."""
        if self.words and self.words[-1].tab == tab:
            last, since = self.words[-1], self._said_since()
            told = [one for one in self.world.sent if one.at >= since and one.body.get("said") == "now"]
            if not any(one.page == last.page or grants(one.body) is last.granted for one in told):
                raise Difference(f"the page that heard {last.choice} has gone without a word")

    def choose(self) -> None:
        """A yes on the shop's own page only where no banner of it repeats a no."""
        choice = self.dice.choice(self.emphasis.choices)
        own = self.banner == "none" or self.dice.random() < self.emphasis.own
        if own and choice == "yes" and self.banner_says in {"no", "some"}:
            return
        tab = self._tab()
        self.world.note(f"says {choice} in tab {tab}{' on the own page' if own else ''}")
        page = self.world.do("choose", tab=tab, choice=choice, voice="own" if own else "banner")
        if page is None or (not own and choice == self.banner_says and self.banner == "orejime"):
            return  # a banner that only keeps its choices shows no difference, where it keeps the same again
        if not own:
            self.banner_says = choice
        self.words.append(Word(choice, page, self.world.now, tab, own))
        self.gpc_since_grant = self.world.gpc and choice != "yes"

    def _said_since(self) -> int:
        """When the last word was said first, as often as it was said again on the same page."""
        last, since = self.words[-1], self.words[-1].at
        for word in reversed(self.words):
            if word.page != last.page or word.granted is not last.granted:
                break
            since = word.at
        return since

    def switch_gpc(self) -> None:
        self.world.gpc = not self.world.gpc
        self.gpc_since_grant |= self.world.gpc
        self.world.note(f"gpc {self.world.gpc}")

    def switch_network(self) -> None:
        self.world.offline = not self.world.offline
        self.world.note(f"offline {self.world.offline}")
        if not self.world.offline:
            self.world.do("online")

    def switch_store(self) -> None:
        self.world.away = not self.world.away
        self.world.note(f"store away {self.world.away}")

    async def ask_edge(self) -> None:
        """A server of the shop renders a page, and repeats what its session remembers."""
        consent = self._remembered()
        self.world.note(f"edge repeats {consent}")
        body = {} if consent is None else {"consent": consent}
        answer = await self.world.ask(body, server=True)
        if self.dice.random() < 0.8:
            self.world.keep_cookies(answer)

    def _remembered(self) -> Any:
        grants = [word for word in self.words if word.granted]
        refusals = [word for word in self.words if not word.granted]
        told: list[Any] = [None]
        if grants:
            at = self.dice.choice(grants).at
            told += ["granted", "granted", _dated("granted", at)]
            if at + self.skew > self.world.now + AHEAD:
                told += [_dated("granted", at + self.skew)] * 2
        if refusals:
            told += [_dated("refused", self.dice.choice(refusals).at)]
        if refusals and self.world.away and self.words[-1].granted:
            return _dated("refused", refusals[-1].at)
        return self.dice.choice(told)

    def _look(self) -> None:
        """At what the service has done since the last look: what it heard, and that no refused ID comes back."""
        for one in self.world.obeyed[self.looked_at :]:
            visitor = one.answer["visitor"]
            if visitor in self.dead:
                raise Difference(f"the ID {visitor} is answered again after its refusal")
            if one.answer["mode"] == "persistent" and self._stands_refused(one.sent.at):
                raise Difference("a call that was sent after the refusal is answered with a persistent ID")
            if one.answer["mode"] == "persistent" and self._is_text_new(one.sent.at):
                raise Difference("a call is answered with a persistent ID for a yes to an earlier text")
            if one.sent.path.startswith("/v1/consents") and one.sent.body.get("said") == "now":
                self._hear(one)
            if one.stored and one.answer["decision"]["reason"] == "consent_refused":
                named = PERSISTENT.finditer(f"{one.sent.cookies} {one.sent.body.get('token')}")
                self.dead |= {found[1]: found[0] for found in named}
        self.looked_at = len(self.world.obeyed)

    def _stands_refused(self, moment: int) -> bool:
        """Whether the browser knew by then that what was said last, a refusal, is heard."""
        last = self.words[-1] if self.words else None
        known = [one.received for one in last.posts if one.received is not None] if last and not last.granted else []
        return bool(known and last and min(known) < moment and not self._is_crossed(last))

    def _is_text_new(self, moment: int) -> bool:
        """Whether nobody has said yes to the text that is shown by then."""
        return (
            self.world.shop == "other"
            and moment > ANOTHER_TEXT
            and not any(word.granted and word.at > ANOTHER_TEXT - ON_ITS_WAY for word in self.words)
        )

    def _hear(self, post: Obeyed) -> None:
        """What a banner keeps is heard in all tabs, of which another may tell it."""
        said = said_at(post.sent) or post.sent.at
        kept = self._word_at(said + 1) if post.sent.path != "/v1/consents" else None
        for word in self.words:
            here = word.page == post.sent.page or (word is kept and not word.own)
            if here and word.at <= said and word.granted == grants(post.sent.body):
                word.posts.append(post)

    async def check(self) -> None:
        await self.world.settle()
        self._look()
        last = self._newest_heard()
        if self.words and last is None and self.world.do("alive").get(str(self.words[-1].page)):
            raise Difference(f"the page that heard {self.words[-1].choice} has not made the service hear it")
        allowed = self._allowed()
        self.world.note(f"asks for its mode: may be {sorted(allowed)}")
        answer = await self.world.ask({})
        self.world.keep_cookies(answer)
        if answer.json["mode"] not in allowed:
            raise Difference(f"the mode is {answer.json['mode']} and may be {sorted(allowed)}")
        if allowed == {"null"} and last and not last.granted and {"__Host-visitor", "__Secure-visitor"} & self.world.jar.keys():
            raise Difference("the refusal is heard and the visitor's cookie is still there")
        self._look()

    def _allowed(self) -> set[str]:
        """The mode of what was said last; where no call could carry that away from a page that is gone, of what was said before it too."""
        if last := self._newest_heard():
            return self._mode(last)
        heard = [number for number, word in enumerate(self.words) if word.heard]
        allowed = set() if heard else self._unsaid()
        for word in self.words[heard[-1] if heard else 0 :]:
            allowed |= self._mode(word)
        return allowed

    def _newest_heard(self) -> Word | None:
        """The last word, if the service has heard it, or the same before it: a banner that keeps the same again tells nobody."""
        for word in reversed(self.words):
            if word.granted is not self.words[-1].granted:
                return None
            if word.heard or self._is_heard_as_remembered(word):
                return word
        return None

    def _is_heard_as_remembered(self, no: Word) -> bool:
        """A banner's refusal counts, too, when a later page tells that the banner keeps it, unless an earlier yes was still on its way."""
        if no.granted or no.own or no.before:
            return False
        after = [one for one in self.world.obeyed if one.sent.opened > no.at and one.sent.path.startswith("/v1/consents")]
        told = [one for one in after if one.received is not None and not grants(one.sent.body) and self._word_at(one.sent.opened) is no]
        ways = [post.done for word in self.words if word.granted for post in word.posts if word.at < no.at]
        return any(all(moment < one.sent.at for moment in ways) for one in told)

    def _word_at(self, moment: int) -> Word | None:
        return next((word for word in reversed(self.words) if word.at < moment), None)

    async def _check_dead(self) -> None:
        """Whether the service still knows a visitor whom a refusal named."""
        for token in self.dead.values():
            answer = await self.world.verify(token)
            if answer.json["valid"]:
                raise Difference(f"the visitor of {token} is alive after its refusal")

    def _is_tied(self, yes: Word) -> bool:
        """A repeated yes of a minute in which the service is told a refusal loses, and so does one that meets a refusal on its way, or its
        answer with the cookies, which was sent before the yes was known to be heard. One said just before the yes may be told after it."""
        first, soon = yes.at // MINUTE, yes.at + ON_ITS_WAY
        minutes = [minute for at, minute in self.world.refusals if at > yes.at or not yes.heard_at_once]
        if any(first <= minute <= soon // MINUTE for minute in minutes) or (self.words[0].before and not yes.heard_at_once):
            return True
        known = min((one.received for one in yes.posts if one.received is not None), default=yes.at)
        refusals = [one for one in self.world.obeyed if one.refuses and one.done >= yes.at and not _is_older(one, yes.at, known)]
        if any(one.sent.at <= known or ("age_ms" not in one.sent.body and self._is_stale(one, yes)) for one in refusals):
            return True
        times = [said_at(one.sent) for one in self.world.obeyed if one.refuses]
        return any(at is not None and yes.at - LONGEST_CALL <= at < yes.at for at in times)

    def _is_stale(self, refusal: Obeyed, yes: Word) -> bool:
        """What a page remembers may be from before the yes: just heard, or of a banner that keeps it in the memory of an older page."""
        older = self.banner in {"klaro", "cookiebot"} and refusal.sent.opened <= yes.at
        return refusal.sent.body.get("said") == "remembered" and (older or refusal.at <= yes.at + ON_ITS_WAY)

    def _is_crossed(self, no: Word) -> bool:
        """A yes of another page, or its answer with the cookies, that was on its way as the refusal was said may stand, and so may one of
        the same page that went before it was answered, and sent the refusal beside it."""
        going = any((no.tab, post.sent.at) in self.left for post in no.posts)
        lately = [word for word in self.words if word.granted and no.at - ON_ITS_WAY <= word.at < no.at]
        others = [word for word in lately if going or word.page != no.page]
        return any(post.done >= no.at for word in others for post in word.posts)

    def _unsaid(self) -> set[str]:
        return {"null"} if self.world.shop == "strict" else {"cookieless"}

    def _mode(self, word: Word) -> set[str]:
        refused = self._unsaid() if self.world.refused_at() < self.world.now - REFUSAL_LIFE else {"null"}
        if not word.granted:
            return refused | ({"persistent"} if self._is_crossed(word) else set())
        if self.world.shop == "other" and word.at <= ANOTHER_TEXT < self.world.now:
            return self._unsaid() | refused
        by_gpc = self.world.shop == "strict" and self.gpc_since_grant
        lost = refused | self._unsaid()
        return {"persistent"} | ({"null"} if by_gpc else set()) | (lost if self._is_tied(word) else set())


def _is_older(refusal: Obeyed, yes: int, known: int) -> bool:
    """Whether it was told to be of an earlier minute than the yes, and was done before that was known to be heard."""
    said = said_at(refusal.sent)
    return said is not None and said // MINUTE < yes // MINUTE and refusal.done < known


def _dated(choice: str, at: int) -> dict[str, Any]:
    moment = datetime.fromtimestamp(at / 1000, UTC).isoformat()
    return {"purposes": {"storage": choice, "measurement": choice}, "decided_at": moment}


async def play(seed: int, tabs: Tabs, service: Application, without_store: Application, clock: Clock, emphasis: Emphasis = USUAL) -> World:
    """Raises Difference, with the history's log."""
    dice = random.Random(seed)
    clock.now = START + dice.randrange(DAY // SECOND)
    shop, banner, skew = dice.choice(emphasis.shops), dice.choice(emphasis.banners), dice.choice(emphasis.skews)
    world = World(tabs, service, without_store, clock, dice, shop, emphasis.ways)
    world.note(f"history {seed}: shop {shop}, banner {banner}, clock {skew // MINUTE} minutes ahead")
    late = dice.choice(emphasis.lates)
    tabs.tell("browser", now=world.now, skew=skew, banner=banner, late=late, key=f"{shop}-public-key")
    try:
        await Person(world, dice, banner, skew, emphasis).live(dice.randint(*emphasis.steps))
    except Difference as found:
        raise Difference("\n".join([str(found), *world.log])) from None
    return world
