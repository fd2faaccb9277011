"""Days and times. All are in UTC, and in seconds since 1970."""

from datetime import UTC, date, datetime
from functools import lru_cache

HOUR, DAY = 3_600, 86_400
RFC3339 = "%Y-%m-%dT%H:%M:%SZ"
EPOCH = date(1970, 1, 1)


def day_number(text: str) -> int:
    """Days since 1970. `text`: as in 2026-12-01. Raises ValueError."""
    return (date.fromisoformat(text) - EPOCH).days


@lru_cache(maxsize=1024)
def rfc3339(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(RFC3339)


def moment_of(text: str) -> datetime:
    """`text`: as `rfc3339` writes it. Raises ValueError."""
    return datetime.strptime(text, RFC3339).replace(tzinfo=UTC)
