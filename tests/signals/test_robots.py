"""Who is a robot, by its user agent: crawlers and scripts, and no app."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_service.signals.browser import is_robot

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
    # apps, by their HTTP library
    "okhttp/4.12.0",
    "Shop/5.1 (com.shop.example; build:42; Android 14) okhttp/5.0.0",
    "Shop/5.1 CFNetwork/1410.0.3 Darwin/22.6.0",
    "Dart/3.2 (dart:io)",
    "axios/1.6.2",
    "GuzzleHttp/7",
    "GuzzleHttp/6.5.5 curl/7.58.0 PHP/7.2.24",
    "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
    "node",
    "undici",
    "Dalvik/2.1.0 (Linux; U; Android 13; Pixel 7 Build/TQ3A.230805.001)",
    "Apache-HttpClient/4.5.14 (Java/17.0.8)",
    "Java-http-client/21.0.1",
    "Java/17.0.8",
    "Ktor client",
    "Alamofire/5.8.1",
    "React Native/0.73",
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
    "Scrapy/2.11",
    "archive.org_bot",
    # crawlers that do not call themselves bots
    "Mediapartners-Google",
    "Mozilla/5.0 (compatible; Google-InspectionTool/1.0;)",
    "FeedFetcher-Google; (+http://www.google.com/feedfetcher.html)",
    "Mozilla/5.0 (compatible; AhrefsSiteAudit/6.1; +http://ahrefs.com/robot/site-audit)",
    "AdsBot-Google (+http://www.google.com/adsbot.html)",
    "APIs-Google (+https://developers.google.com/webmasters/APIs-Google.html)",
    "GoogleOther",
    "Mozilla/5.0 (compatible; YandexImages/3.0; +http://yandex.com/bots)",
    "meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)",
    "Feedly/1.0 (+http://www.feedly.com/fetcher.html; like FeedFetcher-Google)",
    "Pinterest/0.2 (+https://www.pinterest.com/bot.html)",
    "Mozilla/5.0 (compatible; SomethingNew/0.1; +https://something.example/about)",
]


@pytest.mark.parametrize("agent", PEOPLE)
def test_a_persons_browser_or_app_is_no_robot(agent: str) -> None:
    assert not is_robot(agent)


@pytest.mark.parametrize("agent", ROBOTS)
def test_a_robot_is_one_in_any_case_of_letters(agent: str) -> None:
    assert is_robot(agent)
    assert is_robot(agent.upper())
    assert is_robot(agent.lower())


@pytest.mark.parametrize("agent", [None, ""])
def test_who_is_unknown_is_no_robot(agent: str | None) -> None:
    assert is_robot(agent) is False


@given(st.text(max_size=300))
def test_no_agent_can_break_the_reading(agent: str) -> None:
    assert is_robot(agent) in {True, False}
