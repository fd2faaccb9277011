"""How well a shop's tracking works: green, amber or red by the age of its last click and sale, its errors, and what its calls lack."""

from dataclasses import dataclass
from enum import StrEnum

from identity_service.service.orders import Orders
from identity_service.shop import Shop
from identity_service.store import DAY, Clock
from identity_service.store.activity import HOUR

RHYTHM = 14 * DAY
"""Seconds from which a shop's usual distance between clicks, and between sales, is taken."""
LATE, MISSING = 3, 10
"""Times the usual distance after which silence is amber, or red; never before one hour, or six."""
BAD_SHARE, WORSE_SHARE = 0.05, 0.25


class Light(StrEnum):
    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Rhythm:
    """`age` and `usual` in seconds; None where there never was one, or too few to tell."""

    light: Light
    age: int | None
    usual: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Health:
    """Shares are of all clicks of the last day, `error_rate` of all calls of this clock hour and the one before."""

    light: Light
    click: Rhythm
    sale: Rhythm
    error_rate: float
    without_labels: float
    without_visitor: float
    reasons: list[str]


class HealthCheck:
    """`clock`: seconds since 1970."""

    def __init__(self, orders: Orders, clock: Clock) -> None:
        self._orders = orders
        self._clock = clock

    async def of_shop(self, shop: Shop) -> Health:
        long, day, hour = [await self._orders.totals(shop, seconds) for seconds in (RHYTHM, DAY, 2 * HOUR)]
        latest, now = await self._orders.latest(shop), int(self._clock())
        click = rhythm("click", latest.get("click"), long["clicks all"], now)
        sale = rhythm("sale", latest.get("sale"), long["orders all"], now)
        errors = sum(number for name, number in hour.items() if name.startswith("error "))
        rate = _share(errors, sum(number for name, number in hour.items() if name.startswith("call ")))
        unlabelled, visitorless = (_share(day[name], day["clicks all"]) for name in ("clicks unlabelled", "clicks visitorless"))
        told = [one for one in (click, sale) if one.light is not Light.GREEN]
        lights = [one.light for one in told]
        reasons = [one.text for one in told]
        for share, worst, text in (
            (rate, Light.RED, "of the calls of the last hour failed; GET /v1/calls shows the errors"),
            (unlabelled, Light.AMBER, "of the clicks carried no labels and cannot be attributed"),
            (visitorless, Light.AMBER, "of the clicks had no visitor and cannot be attributed"),
        ):
            if share > BAD_SHARE:
                lights.append(worst if share > WORSE_SHARE else Light.AMBER)
                reasons.append(f"{share:.0%} {text}")
        light = Light.RED if Light.RED in lights else Light.AMBER if lights else Light.GREEN
        return Health(light, click, sale, rate, unlabelled, visitorless, reasons)


def rhythm(name: str, last: int | None, number: int, now: int) -> Rhythm:
    """`number`: how many there were in the last fourteen days."""
    if last is None:
        return Rhythm(Light.RED, None, None, f"No {name} has been logged yet.")
    age, usual = max(now - last, 0), RHYTHM // number if number > 1 else None
    expected = usual or DAY
    text = f"The last {name} was logged {age // 60} minutes ago."
    if age > max(MISSING * expected, 6 * HOUR):
        return Rhythm(Light.RED, age, usual, f"{text} No {name}s recently.")
    if age > max(LATE * expected, HOUR):
        return Rhythm(Light.AMBER, age, usual, f"{text} Longer than usual.")
    return Rhythm(Light.GREEN, age, usual, text)


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
