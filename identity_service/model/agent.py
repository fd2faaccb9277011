"""Agents: programs that act for a person, such as a shopping assistant. An agent is neither a visitor nor a robot.

Agents of one vendor share addresses and a user agent, so the people for whom they act cannot be distinguished. An agent therefore gets no
ID, and its clicks and orders count under its own name. A name that nobody has verified grants nothing.
"""

import re
from enum import StrEnum

from msgspec import Struct

UNKNOWN = "unknown"
"""Name of an agent that is neither in the table of user agents nor verified. What it calls itself is only a claim."""
AGENT_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._:-]{0,62}[a-z0-9])?")
AGENT_CHANNEL = "agent:"
BOT_CHANNEL = "bot"


class KnownBy(StrEnum):
    """How an agent was recognised. UNVERIFIED: its signature cannot be checked, because it has none, its directory is not in the settings,
    or the key is not in the directory. INVALID: its signature was checked and does not hold. EDGE: the shop's own server verified it."""

    VERIFIED = "verified"
    EDGE = "edge"
    USER_AGENT = "user_agent"
    UNVERIFIED = "unverified"
    INVALID = "invalid"


class Agent(Struct, frozen=True):
    """`name`: host of the verified directory, name given by the shop's server, token of the user agent, or UNKNOWN."""

    name: str = UNKNOWN
    known_by: KnownBy = KnownBy.UNVERIFIED

    @property
    def channel(self) -> str:
        """As orders name it."""
        return f"{AGENT_CHANNEL}{self.name}"

    @property
    def words(self) -> str:
        return f"{self.name} ({self.known_by})"


def agent_of_channel(channel: str) -> str | None:
    """Name of the agent whose channel it is."""
    return channel.removeprefix(AGENT_CHANNEL) if channel.startswith(AGENT_CHANNEL) else None
