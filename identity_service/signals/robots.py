"""Who is a robot: crawlers, fetchers of previews and feeds, monitors and scripts, by the visitor's own user agent.

HTTP libraries are none: an app names one in its user agent, or a server that hands on what the app sent, and a person uses the app.
"""

import re

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


def is_robot(user_agent: str | None) -> bool:
    """Who is unknown is not a robot."""
    if not user_agent:
        return False
    agent = user_agent.lower()
    if any(map(agent.__contains__, WORDS)) or agent.startswith("curl/"):  # libraries name curl behind themselves
        return True
    return ("bot" in agent and BOT.search(agent) is not None) or ("+" in agent and PAGE.search(agent) is not None)
