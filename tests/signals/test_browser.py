"""What browsers say by themselves, and who is a robot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.signals.browser import BrowserSignals, browser_signals, is_robot

PEOPLE = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Instagram 390.0.0.0 (iPhone15,2; iOS 18_5)",
    "Mozilla/5.0 (Linux; Android 14; SM-S918B; wv) AppleWebKit/537.36 Version/4.0 Chrome/139.0 Mobile Safari/537.36 [FB_IAB/FB4A]",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/138.0.0.0 Safari/537.36 OPR/122.0.0.0",
    "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 11; CUBOT KINGKONG 5) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Mobile Safari/537.36",
]
ROBOTS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
    "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 11) Chrome/140.0 Mobile Safari/537.36 Chrome-Lighthouse",
    "Pingdom.com_bot_version_1.4_(http://www.pingdom.com/)",
    "curl/8.5.0",
    "Wget/1.21",
    "python-requests/2.32",
    "Python/3.11 aiohttp/3.9",
    "Go-http-client/2.0",
    "okhttp/4.12.0",
    "Scrapy/2.11",
    "archive.org_bot",
]


@pytest.mark.parametrize("agent", PEOPLE)
def test_a_persons_browser_is_no_robot(agent: str) -> None:
    assert not is_robot(agent)


@pytest.mark.parametrize("agent", ROBOTS)
def test_a_robot_is_one_in_any_case_of_letters(agent: str) -> None:
    assert is_robot(agent)
    assert is_robot(agent.upper())
    assert is_robot(agent.lower())


@pytest.mark.parametrize("agent", [None, ""])
def test_who_is_unknown_is_no_robot(agent: str | None) -> None:
    assert is_robot(agent) is False


def test_a_browser_that_says_nothing_says_nothing() -> None:
    assert browser_signals({}) == BrowserSignals(False, False, False)


@pytest.mark.parametrize("header", ["sec-gpc", "dnt"])
@pytest.mark.parametrize("value", ["0", "", "true", "01", "1 ", " 1", "1, 1", "\uff11", "?1"])
def test_only_the_exact_digit_one_is_an_opt_out(header: str, value: str) -> None:
    assert browser_signals({header: value}) == BrowserSignals()


def test_gpc_and_dnt_are_told_apart() -> None:
    assert browser_signals({"sec-gpc": "1"}) == BrowserSignals(gpc=True)
    assert browser_signals({"dnt": "1"}) == BrowserSignals(dnt=True)
    assert browser_signals({"sec-gpc": "1", "dnt": "1"}) == BrowserSignals(gpc=True, dnt=True)


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-purpose": "prefetch"},
        {"sec-purpose": "prefetch;prerender"},
        {"sec-purpose": "prefetch;anonymous-client-ip"},
        {"purpose": "prefetch"},
        {"x-moz": "prefetch"},
        {"purpose": "Prefetch"},
    ],
)
def test_a_prefetch_is_known_in_every_browsers_words(headers: dict[str, str]) -> None:
    assert browser_signals(headers) == BrowserSignals(prefetch=True)


@given(st.dictionaries(st.sampled_from(["sec-gpc", "dnt", "sec-purpose", "purpose", "x-moz", "other"]), st.text(max_size=12)))
def test_no_header_can_break_the_reading(headers: dict[str, str]) -> None:
    found = browser_signals(headers)
    assert (found.gpc, found.dnt) == (headers.get("sec-gpc") == "1", headers.get("dnt") == "1")


@given(st.text(max_size=300))
def test_no_agent_can_break_the_reading(agent: str) -> None:
    assert is_robot(agent) in {True, False}
