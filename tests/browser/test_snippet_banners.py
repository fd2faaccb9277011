"""Each banner in each situation: at first, as stored, accepted, rejected, changed, withdrawn, granted again, late, lost, in another tab."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.banner_pages import EMULATED
from tests.browser.conftest import fresh_profile
from tests.browser.pages import Pages, each
from tests.browser.test_choices_kept import (
    BANNERS,
    CONSENTS,
    abort,
    consents,
    expect_refused,
    known,
    link,
    loses,
    names,
    refusal_is_kept,
    until,
    until_told,
)
from tests.browser.test_choices_kept import Banner as Buttons
from tests.browser.test_snippet import CONFIG, open_page, told
from tests.test_command import Service, eventually

pytestmark = pytest.mark.usefixtures("library_pages")
DEAF = ("tarteaucitron", "vanilla-cookieconsent")
"""Libraries that take no second refusal in a tab that has not heard of the yes in between."""
REAL = ("klaro", "cookieconsent", "tarteaucitron", "vanilla-cookieconsent", "tcf")
ALL = {**{name: Buttons(banner.body) for name, banner in EMULATED.items()}, **{name: BANNERS[name] for name in REAL}}
numbers = itertools.count()


@dataclass(frozen=True)
class Case:
    """One banner in a browser of its own. `open` loads its page with the snippet, `open_without` without it."""

    name: str
    banner: Buttons
    profile: BrowserContext
    shop_pages: Pages
    service: Service
    path: str

    @property
    def email(self) -> str:
        return f"{self.path.strip('/')}@example.com"

    def open(self) -> Page:
        page, errors = open_page(self.profile, self.shop_pages, self.path, f"<body>{self.banner.body}" + CONFIG % "")
        self.failures.append(errors)
        return page

    def open_without(self) -> Page:
        page, errors = open_page(self.profile, self.shop_pages, f"{self.path}-without", f"<body>{self.banner.body}")
        self.failures.append(errors)
        return page

    @property
    def failures(self) -> list[list[str]]:
        return FAILURES.setdefault(self.path, [])


FAILURES: dict[str, list[list[str]]] = {}


def a_whole_life(case: Case) -> None:
    """Nothing is chosen at first; refused, still so after a reload, accepted, the same ID after a reload, and withdrawn."""
    said = consents(case.profile)
    page = case.open()
    first = told(page)
    assert (first[1], names(case.profile), said) == ("cookieless", set(), [])
    case.banner.refuse(page)
    until_told(page, "null")
    page.reload()
    assert told(page) == [None, "null"]
    case.banner.accept(page)
    visitor = until_told(page, "persistent")
    link(case.profile, case.service, case.email)
    page.reload()
    assert told(page) == [visitor, "persistent"]
    case.banner.refuse(page)
    expect_refused(page, case.profile, case.service, case.email)


def stored(accepted: bool) -> Callable[[Case], None]:
    """Chosen before the snippet came."""

    def situation(case: Case) -> None:
        page = case.open_without()
        (case.banner.accept if accepted else case.banner.refuse)(page)
        page.wait_for_timeout(100)
        page.close()
        page = case.open()
        until_told(page, "persistent" if accepted else "null")
        page.reload()
        assert eventually(lambda: told(page)[1] == ("persistent" if accepted else "null")), told(page)

    return situation


def in_part(case: Case) -> None:
    """Others' purposes are accepted and ours is not."""
    page = case.open()
    if case.name not in EMULATED:
        return
    known(page, case.profile, case.service, case.banner, case.email)
    page.click("#part")
    expect_refused(page, case.profile, case.service, case.email)


def twice(case: Case) -> None:
    page = case.open()
    for _ in range(2):
        case.banner.accept(page)
    visitor = until_told(page, "persistent")
    for _ in range(2):
        case.banner.refuse(page)
    until_told(page, "null")
    assert visitor


def lost(case: Case) -> None:
    """The refusal's post fails and is repeated."""
    page = case.open()
    known(page, case.profile, case.service, case.banner, case.email)
    failed = loses(case.profile, CONSENTS, abort)
    case.banner.refuse(page)
    until(page, lambda: failed)
    case.profile.unroute(CONSENTS)
    expect_refused(page, case.profile, case.service, case.email)


def lost_for_good(case: Case) -> None:
    """The refusal's post fails as long as the page lives; the next page tells what the banner keeps."""
    page = case.open()
    known(page, case.profile, case.service, case.banner, case.email)
    failed = loses(case.profile, CONSENTS, abort)
    case.banner.refuse(page)
    until(page, lambda: failed)
    page.goto("about:blank")
    case.profile.unroute(CONSENTS)
    page = case.open()
    expect_refused(page, case.profile, case.service, case.email)


def in_another_tab(case: Case) -> None:
    first, second = case.open(), case.open()
    case.banner.accept(first)
    visitor = until_told(first, "persistent")
    until(second, lambda: told(second) == [visitor, "persistent"])
    link(case.profile, case.service, case.email)
    case.banner.refuse(first)
    until_told(second, "null")
    case.banner.accept(second)
    until_told(first, "persistent")
    if case.name in DEAF:
        first.reload()
        until_told(first, "persistent")
    case.banner.refuse(first)
    expect_refused(second, case.profile, case.service, case.email)


def replayed(case: Case) -> None:
    """A stored yes never lifts a refusal that was said elsewhere."""
    page = case.open()
    known(page, case.profile, case.service, case.banner, case.email)
    page.evaluate(ELSEWHERE)
    until(page, lambda: refusal_is_kept(case.profile))
    for _ in range(2):
        page.reload()
        page.mouse.click(2, 2)
        page.wait_for_timeout(300)
        assert told(page) == [None, "null"]
        assert refusal_is_kept(case.profile)


ELSEWHERE = """() => fetch(document.querySelector('script[src*="visitor.js"]').src.replace('visitor.js', 'v1/consents'), {
    method: 'POST', credentials: 'include', body: JSON.stringify({key: 'demo-public-key', consent: 'refused'})})"""
SITUATIONS = {
    "a whole life": a_whole_life,
    "a stored yes": stored(True),
    "a stored no": stored(False),
    "a yes is replayed": replayed,
    "in part": in_part,
    "twice": twice,
    "lost": lost,
    "lost for good": lost_for_good,
    "in another tab": in_another_tab,
}


@pytest.mark.parametrize("name", each(sorted(ALL), "cookiebot", "didomi", "gtag", "klaro", "onetrust", "tcf", "vanilla-cookieconsent"))
def test_a_banner_is_heard_in_every_situation(browser: Browser, shop_pages: Pages, service: Service, name: str, long: bool) -> None:
    for situation, run in itertools.islice(SITUATIONS.items(), None if long else 1):
        case = Case(name, ALL[name], fresh_profile(browser), shop_pages, service, f"/life-{next(numbers)}-{name}")
        try:
            run(case)
        except Exception as error:
            raise AssertionError(f"{name}, {situation}") from error
        assert [error for errors in case.failures for error in errors] == []
