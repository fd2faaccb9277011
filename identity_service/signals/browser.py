"""What a visitor's browser says by itself: Global Privacy Control, Do Not Track, prefetching, and being an agent.

`Sec-GPC: 1` as in the W3C draft (w3.org/TR/gpc); any other value is no signal. `DNT: 1` is no standard any more and still sent.
"""

import re
from collections.abc import Mapping

from msgspec import Struct

AGENT = re.compile(
    r"(?<![a-z])[a-z]+-user/[0-9]|"  # Claude-User, ChatGPT-User, Perplexity-User, MistralAI-User, Amzn-User
    "google-agent|gemini-deep-research|novaact|meta-externalfetcher"
)
"""How agents that fetch a page for a person name themselves, in lower case: platform.openai.com/docs/bots,
support.anthropic.com/en/articles/8896518, docs.perplexity.ai/guides/bots, docs.mistral.ai/robots, developer.amazon.com/amazonbot,
developers.google.com/crawling/docs/crawlers-fetchers/google-user-triggered-fetchers, nova.amazon.com/act,
developers.facebook.com/docs/sharing/webmasters/web-crawlers."""


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
