"""What a history has more of than usual: the situations in which one guard or another matters. The model judges all histories alike."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000

USUAL_ACTS = {
    "choose": 9,
    "open_tab": 2,
    "leave_tab": 1,
    "reload": 3,
    "visit": 2,
    "back": 3,
    "switch_gpc": 1,
    "ask_edge": 4,
    "switch_network": 2,
    "switch_store": 3,
}
USUAL_PAUSES = {
    20: 2,
    300: 3,
    1_200: 4,
    2 * SECOND: 5,
    8 * SECOND: 10,
    50 * SECOND: 4,
    6 * MINUTE: 4,
    40 * MINUTE: 3,
    4 * HOUR: 3,
    30 * HOUR: 1,
    90 * DAY: 1,
    181 * DAY: 1,
}
USUAL_WAYS = {"quick": 50, "slow": 13, "unreachable": 12, "lost": 12, "busy": 7, "limited": 6}
"""How often a call goes each way; half of them fail, or take as long as a page waits."""


@dataclass(frozen=True)
class Emphasis:
    """How often what is drawn; of a tuple each alike, so that it may name one several times. `scene`: what is done first, in this order.
    `lates`: milliseconds until a banner appears. `own`: choices on the page's own form, of one.
    `refused_before`: histories that begin with the cookie of an earlier refusal, of one. `steps`: the fewest and the most of a history."""

    shops: tuple[str, ...] = ("demo", "demo", "strict", "other")
    banners: tuple[str, ...] = ("klaro", "onetrust", "cookiebot", "google", "own", "orejime", "none")
    skews: tuple[int, ...] = (0, 0, 0, 2 * MINUTE, -2 * MINUTE, 3 * HOUR, -3 * HOUR, 40 * MINUTE, -40 * MINUTE)
    choices: tuple[str, ...] = ("yes", "yes", "no", "no", "some")
    pauses: Mapping[int, int] = field(default_factory=lambda: USUAL_PAUSES)
    acts: Mapping[str, int] = field(default_factory=lambda: USUAL_ACTS)
    ways: Mapping[str, int] = field(default_factory=lambda: USUAL_WAYS)
    own: float = 0.35
    refused_before: float = 0.1
    steps: tuple[int, int] = (4, 21)
    scene: tuple[str, ...] = ()
    lates: tuple[int, ...] = (1, 1, 700, 4_000)


USUAL = Emphasis()
SOON = {300: 3, 1_200: 5, 2 * SECOND: 6, 8 * SECOND: 8, 50 * SECOND: 3, 6 * MINUTE: 2}
FAR = (3 * HOUR, -3 * HOUR, 40 * MINUTE, -40 * MINUTE)


def acts(**more: int) -> Mapping[str, int]:
    """The others are rare, but none is missing."""
    return dict.fromkeys(USUAL_ACTS, 1) | more


EDGES = Emphasis(pauses=SOON, skews=(0, *FAR), acts=acts(choose=8, ask_edge=10, switch_store=2))
"""A server of the shop repeats what its session remembers, soon after the person said something else."""
AHEAD = replace(EDGES, skews=(3 * HOUR, 40 * MINUTE))
"""Such a server repeats the time of a clock that is ahead."""
LATE = Emphasis(
    pauses=SOON,
    acts=acts(choose=10, open_tab=2, reload=2, visit=2, back=2),
    ways={"quick": 25, "slow": 20, "unreachable": 20, "lost": 20, "busy": 10, "limited": 5},
    own=0.5,
)
"""What was said arrives late, twice, or as its page is gone."""
MEMORIES = Emphasis(
    pauses=SOON,
    banners=("klaro", "google", "own", "cookiebot", "onetrust"),
    acts=acts(choose=8, reload=5, visit=4, back=2),
    ways={"quick": 40, "slow": 15, "unreachable": 15, "lost": 15, "busy": 10, "limited": 5},
    own=0.5,
)
"""A banner repeats on the next page what it keeps, after another word on the page's own form."""
WAKING = replace(MEMORIES, banners=("cookiebot", "onetrust"), pauses={300: 5, 1_200: 5, 8 * SECOND: 4, 50 * SECOND: 1}, own=0.6)
"""A banner appears late, just after somebody has chosen on the page's own form."""
QUEUED = replace(
    LATE,
    pauses={2 * SECOND: 2, 8 * SECOND: 4, 50 * SECOND: 6},
    banners=("klaro", "google"),
    choices=("yes", "no"),
    acts=acts(choose=12, switch_network=2),
    ways={"quick": 35, "slow": 5, "unreachable": 20, "lost": 10, "busy": 10, "limited": 20},
)
"""Several choices wait on one page, of which the banner's are repeated in the same words."""
HASTE = Emphasis(
    pauses={20: 1, 300: 5, 1_200: 6, 2 * SECOND: 2, 8 * SECOND: 3},
    skews=(0, -2 * MINUTE, -40 * MINUTE, -3 * HOUR),
    banners=("onetrust", "cookiebot"),
    choices=("yes", "no"),
    acts=acts(choose=12, reload=6, visit=4),
    ways={"quick": 20, "slow": 45, "unreachable": 35},
    own=0.0,
    steps=(8, 24),
)
"""Somebody chooses twice within a call's time."""
PARTING = replace(
    HASTE, scene=("choose", "choose", "visit"), steps=(0, 2), lates=(700, 4_000), ways={"quick": 15, "slow": 50, "unreachable": 35}
)
"""The same, on a page that goes before the second choice is heard; the next one hears it of the banner."""
BESIDE = replace(
    LATE,
    pauses={20: 2, 300: 4, 1_200: 4, 2 * SECOND: 3},
    shops=("demo",),
    choices=("yes", "no"),
    acts=acts(choose=10, ask_edge=10),
    own=0.2,
)
"""Such a server grants, with a cookie, before the page is heard that somebody chose on."""
CLOCKS = Emphasis(
    pauses=SOON,
    skews=(2 * MINUTE, 2 * MINUTE, *FAR),
    banners=("onetrust", "cookiebot"),
    acts=acts(choose=8, reload=4, visit=4, back=2),
    ways={"quick": 25, "slow": 25, "unreachable": 35, "lost": 10, "busy": 3, "limited": 2},
)
"""A device's clock is wrong, and its banner tells when somebody chose, on a page that goes before it is heard."""
TEXTS = Emphasis(
    shops=("other",),
    pauses={8 * SECOND: 3, 4 * HOUR: 3, 30 * HOUR: 4},
    choices=("yes", "yes", "no"),
    acts=acts(choose=6, reload=5, visit=3, ask_edge=3),
)
"""The shop asks with another text than the one that somebody agreed to."""
YEARS = Emphasis(
    pauses={2 * SECOND: 3, 8 * SECOND: 3, 90 * DAY: 2, 181 * DAY: 2}, choices=("no", "some", "yes"), refused_before=0.4, steps=(3, 8)
)
"""Months after a refusal, or with the cookie of an earlier one."""
OUTAGES = Emphasis(
    pauses={1_200: 3, 8 * SECOND: 5, 50 * SECOND: 4, 6 * MINUTE: 4},
    choices=("no", "yes"),
    acts=acts(choose=8, switch_store=8, reload=2, leave_tab=2, ask_edge=6),
)
"""The service cannot reach its store."""
ALL = (*(USUAL,) * 5, AHEAD, BESIDE, CLOCKS, EDGES, HASTE, LATE, MEMORIES, OUTAGES, PARTING, QUEUED, TEXTS, WAKING, YEARS)


def emphasis_of(seed: int) -> Emphasis:
    """Of five histories in eighteen the usual one."""
    return ALL[seed % len(ALL)]
