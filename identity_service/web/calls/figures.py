"""Figures of days: distinct visitors by mode, choices, and what visitors did who said nothing, where the shop counts those."""

from typing import Annotated

from msgspec import UNSET, Struct, UnsetType

from identity_service.model.estimate import Estimate
from identity_service.model.utc import rfc3339
from identity_service.service.days import Day, Hour
from identity_service.service.days import Silent as SilentDay
from identity_service.web.call import Call, Reply
from identity_service.web.lists import number, page_of, page_query
from identity_service.web.payloads import NEXT, Count, Share, Time, about

USUAL_DAYS, MOST_DAYS = 30, 90
OF_FIGURES = page_query(MOST_DAYS) | {
    "days": ({"type": "integer", "minimum": 1, "maximum": MOST_DAYS, "default": USUAL_DAYS}, "Days in UTC, of which today is the last.")
}


class EstimateAnswer(Struct, frozen=True):
    """The true number is between the two."""

    low: Annotated[Count, about("It is at least this.")]
    high: Annotated[Count, about("It is at most this.")]
    hidden: Annotated[bool, about("There were fewer than ten, or none, and the figure says no more than that.")]


class ShareAnswer(Struct, frozen=True):
    """The true share is between the two."""

    low: Annotated[Share, about("It is at least this.")]
    high: Annotated[Share, about("It is at most this.")]


class SilentHourEntry(Struct, frozen=True):
    """What visitors who said nothing did in an hour."""

    time: Annotated[Time, about("Start of the hour, in RFC 3339.")]
    views: Annotated[EstimateAnswer, about("Pages.")]
    clicks: Annotated[EstimateAnswer, about("Clicks on products.")]
    orders: Annotated[EstimateAnswer, about("Orders.")]


class SilentAnswer(Struct, frozen=True):
    """Visitors who said nothing and got no ID. Each figure is a whole number of tens; what is left over is not shown."""

    visitors: Annotated[EstimateAnswer, about("Distinct visitors, by a sketch over address and user agent that ends with the day.")]
    visits: Annotated[EstimateAnswer, about("A visitor counts once in each clock hour.")]
    views: Annotated[EstimateAnswer, about("Pages: answers with `counted`.")]
    clicks: Annotated[EstimateAnswer, about("Clicks on products. `GET /v1/labels` has them by label.")]
    orders: Annotated[EstimateAnswer, about("Orders that such a visitor's own device reported, or a server with `counted`.")]
    conversion: Annotated[ShareAnswer | None, about("Orders by visitor. Null while one of the two is hidden.")]
    hours: Annotated[list[SilentHourEntry], about("Those hours that have a figure, oldest first.", maxItems=24)]


class DayEntry(Struct, frozen=True):
    """One day, in UTC."""

    time: Annotated[Time, about("Start of the day, in RFC 3339.")]
    visitors: Annotated[
        dict[str, EstimateAnswer],
        about("Distinct visitors with an ID, by mode: `persistent`, `cookieless`. By a sketch that ends with the day."),
    ]
    without_id: Annotated[Count, about("Answers in mode `null`, except counted ones. They are calls, not people.")]
    granted: Annotated[Count, about("People who granted. Somebody who changes their mind counts in both.")]
    refused: Annotated[Count, about("People who refused. A refusal that a page repeats with its cookie does not count.")]
    consent_rate: Annotated[Share | None, about("Share of those who granted among those who chose. Null where nobody chose.")]
    counted: Annotated[SilentAnswer | UnsetType, about("Absent for a shop that counts no visitors without an ID.")] = UNSET


class FiguresAnswer(Struct, frozen=True):
    """One page of the days."""

    figures: Annotated[list[DayEntry], about("Newest first, at most `limit`.", maxItems=MOST_DAYS)]
    next: Annotated[str | None, NEXT]


async def page(call: Call) -> Reply:
    found = await call.services.figures.days(call.shop, number(call.query, "days", USUAL_DAYS, MOST_DAYS))
    days = found[::-1]
    limit = number(call.query, "limit", MOST_DAYS, MOST_DAYS)
    shown, following = page_of(days, [(-day.start,) for day in days], call.query.get("cursor"), limit)
    return Reply(FiguresAnswer([_day(day, counts_silent=call.shop.counts_silent) for day in shown], following))


def estimate_answer(found: Estimate) -> EstimateAnswer:
    return EstimateAnswer(found.low, found.high, found.hidden)


def _day(day: Day, *, counts_silent: bool) -> DayEntry:
    """A shop that stopped counting still sees the days on which it did."""
    return DayEntry(
        rfc3339(day.start),
        {mode: estimate_answer(found) for mode, found in day.visitors.items()},
        day.without_id,
        day.granted,
        day.refused,
        day.consent_rate,
        _silent(day.silent) if counts_silent or not day.silent.views.hidden else UNSET,
    )


def _silent(found: SilentDay) -> SilentAnswer:
    return SilentAnswer(
        estimate_answer(found.visitors),
        estimate_answer(found.visits),
        estimate_answer(found.views),
        estimate_answer(found.clicks),
        estimate_answer(found.orders),
        ShareAnswer(*found.conversion) if found.conversion else None,
        [_hour(hour) for hour in found.hours],
    )


def _hour(hour: Hour) -> SilentHourEntry:
    return SilentHourEntry(rfc3339(hour.start), estimate_answer(hour.views), estimate_answer(hour.clicks), estimate_answer(hour.orders))
