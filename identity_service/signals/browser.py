"""What a visitor's browser says by itself: Global Privacy Control, Do Not Track, prefetching, and being a robot.

`Sec-GPC: 1` as in the W3C draft (w3.org/TR/gpc); any other value is no signal. `DNT: 1` is no standard any more and still sent.
"""

import re
from collections.abc import Mapping

from msgspec import Struct

BOT = re.compile(r"(?<!\bcu)bot(\b|_)")
ROBOTS = (
    *("crawl", "spider", "slurp", "facebookexternalhit", "headless", "lighthouse", "pingdom", "uptime", "monitor", "preview", "scan"),
    *("archiver", "curl/", "wget/", "python-", "python/", "httpx", "aiohttp", "go-http-client", "java/", "okhttp", "libwww", "scrapy"),
    *("phantomjs", "selenium", "puppeteer", "playwright"),
)


class BrowserSignals(Struct, frozen=True):
    gpc: bool = False
    dnt: bool = False
    prefetch: bool = False


def browser_signals(headers: Mapping[str, str]) -> BrowserSignals:
    """`headers`: names in lower case."""
    purpose = headers.get("sec-purpose", "") or headers.get("purpose", "") or headers.get("x-moz", "")
    return BrowserSignals(headers.get("sec-gpc") == "1", headers.get("dnt") == "1", "prefetch" in purpose.lower())


def is_robot(user_agent: str | None) -> bool:
    """Judged by the visitor's own user agent; unknown is not a robot."""
    if not user_agent:
        return False
    agent = user_agent.lower()
    return any(map(agent.__contains__, ROBOTS)) or ("bot" in agent and BOT.search(agent) is not None)
