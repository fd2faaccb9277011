"""Signals in a browser's headers: Global Privacy Control, Do Not Track, prefetching, and robots.

`Sec-GPC: 1` follows the W3C draft (w3.org/TR/gpc); any other value is no signal. `DNT: 1` is no longer a standard, but still sent. Robots
are crawlers, fetchers of previews and feeds, monitors and scripts, detected by the visitor's own user agent. HTTP libraries do not count,
because apps that people use name them in their user agents.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from msgspec import Struct

MOST_USER_AGENTS = 512
"""Of which a worker remembers what they are, because most visitors have one of a few hundred, and to search one takes microseconds."""
WORDS = (
    *("crawl", "spider", "slurp", "facebookexternalhit", "facebookcatalog", "meta-externalagent", "headless", "lighthouse", "pingdom"),
    *("uptime", "monitor", "preview", "scan", "archiver", "wget/", "python-", "python/", "httpx", "aiohttp", "go-http-client", "libwww"),
    *("scrapy", "phantomjs", "selenium", "puppeteer", "playwright", "heritrix", "nutch", "httrack", "w3c_validator", "zgrab", "gtmetrix"),
    *("mediapartners-google", "google-inspectiontool", "feedfetcher", "google-read-aloud", "google-site-verification", "apis-google"),
    *("duplexweb-google", "googleother", "google-safety", "google favicon", "siteaudit", "statuscake", "site24x7", "ptst/"),
    *("datadogsynthetics",),
)
"""In lower case. developers.google.com/crawling/docs/crawlers-fetchers/overview-google-crawlers lists Google's without `bot`."""
BOT = re.compile(r"(?<!\bcu)bot(\b|_)")
"""Cubot is a brand of phones."""
PAGE = re.compile(r"\+ ?https?://(?!github\.com/)")
"""Crawlers send the address of a page about themselves. Libraries send the address of their source code, if any."""


@lru_cache(MOST_USER_AGENTS)
def is_robot(user_agent: str | None) -> bool:
    """False without a user agent."""
    if not user_agent:
        return False
    agent = user_agent.lower()
    if any(map(agent.__contains__, WORDS)) or agent.startswith("curl/"):  # libraries name curl after their own name
        return True
    return ("bot" in agent and BOT.search(agent) is not None) or ("+" in agent and PAGE.search(agent) is not None)


class BrowserSignals(Struct, frozen=True):
    gpc: bool = False
    dnt: bool = False
    prefetch: bool = False


def browser_signals(headers: Mapping[str, str]) -> BrowserSignals:
    """`headers`: names in lower case."""
    purpose = headers.get("sec-purpose", "") or headers.get("purpose", "") or headers.get("x-moz", "")
    return BrowserSignals(headers.get("sec-gpc") == "1", headers.get("dnt") == "1", "prefetch" in purpose.lower())
