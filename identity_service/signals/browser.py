"""What a visitor's browser says by itself: Global Privacy Control, Do Not Track, prefetching, being an agent, and being a robot.

`Sec-GPC: 1` as in the W3C draft (w3.org/TR/gpc); any other value is no signal. `DNT: 1` is no standard any more and still sent.
Robots are crawlers, fetchers of previews and feeds, monitors and scripts, by the visitor's own user agent. HTTP libraries are none: an app
names one in its user agent, or a server that hands on what the app sent, and a person uses the app.
"""

import re
from collections.abc import Mapping

from msgspec import Struct

WORDS = (
    *("crawl", "spider", "slurp", "facebookexternalhit", "facebookcatalog", "meta-externalagent", "headless", "lighthouse", "pingdom"),
    *("uptime", "monitor", "preview", "scan", "archiver", "wget/", "python-", "python/", "httpx", "aiohttp", "go-http-client", "libwww"),
    *("scrapy", "phantomjs", "selenium", "puppeteer", "playwright", "heritrix", "nutch", "httrack", "w3c_validator", "zgrab", "gtmetrix"),
    *("mediapartners-google", "google-inspectiontool", "feedfetcher", "google-read-aloud", "google-site-verification", "apis-google"),
    *("duplexweb-google", "googleother", "google-safety", "google favicon", "siteaudit", "statuscake", "site24x7", "ptst/"),
    *("datadogsynthetics",),
)
"""In lower case. developers.google.com/crawling/docs/crawlers-fetchers/overview-google-crawlers names Google's without `bot`."""
BOT = re.compile(r"(?<!\bcu)bot(\b|_)")
"""Phones are named Cubot."""
PAGE = re.compile(r"\+ ?https?://(?!github\.com/)")
"""Crawlers give the address of a page about themselves; libraries that give one give that of their source."""
AGENT = re.compile(
    r"(?<![a-z])[a-z]+-user/[0-9]|"  # Claude-User, ChatGPT-User, Perplexity-User, MistralAI-User, Amzn-User
    "google-agent|gemini-deep-research|novaact|meta-externalfetcher"
)
"""How agents that fetch a page for a person name themselves, in lower case: platform.openai.com/docs/bots,
support.anthropic.com/en/articles/8896518, docs.perplexity.ai/guides/bots, docs.mistral.ai/robots, developer.amazon.com/amazonbot,
developers.google.com/crawling/docs/crawlers-fetchers/google-user-triggered-fetchers, nova.amazon.com/act,
developers.facebook.com/docs/sharing/webmasters/web-crawlers."""


def is_robot(user_agent: str | None) -> bool:
    """Who is unknown is not a robot."""
    if not user_agent:
        return False
    agent = user_agent.lower()
    if any(map(agent.__contains__, WORDS)) or agent.startswith("curl/"):  # libraries name curl behind themselves
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


def is_agent(user_agent: str | None) -> bool:
    """Whether the visitor names itself as an agent. Agents of one vendor share addresses and a user agent, so that those for whom they act
    cannot be told apart by them."""
    return bool(user_agent) and AGENT.search(str(user_agent).lower()) is not None
