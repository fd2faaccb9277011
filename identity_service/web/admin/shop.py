"""Pages about the shop: overview, products, logs, health, keys."""

from collections.abc import Mapping, Sequence
from typing import Any

from identity_service.model.utc import DAY
from identity_service.service.health import RHYTHM
from identity_service.service.unread import shares_of
from identity_service.web.admin.pages import AdminCall, View
from identity_service.web.calls import orders as calls
from identity_service.web.snippet import snippet

DAYS = (1, 7, 30, 90)
CALLS_A_PAGE = 200
OUTCOMES = ("ok", "error")


async def overview(asked: AdminCall) -> View:
    days = next((one for one in DAYS if str(one) == asked.query.get("days")), 7)
    counts = await asked.services.figures.counts(asked.shop, days, RHYTHM)
    figures = await asked.services.figures.of_shop(asked.shop, days, counts)
    labels = (await calls.labels(asked.call(query={"days": str(days)}), counts)).body
    health = (await calls.health(asked.call(), counts)).body
    values = {"days": days, "choices": DAYS, "figures": figures, "today": figures.days[-1], "labels": labels, "health": health}
    return View("admin/overview.html", values | {"counts_silent": asked.shop.counts_silent, "currency": asked.shop.settings.currency})


async def products(asked: AdminCall) -> View:
    found = (await calls.products(asked.call())).body.products
    shown, following = asked.part(found)
    return View("admin/products.html", {"products": shown, "next": following, "count": len(found)})


async def logs(asked: AdminCall) -> View:
    """The cursor counts from the oldest entry, so that new entries do not shift the pages."""
    names = sorted({entry["call"] for entry in await log_entries(asked, {})})
    wanted = log_filter(asked.query)
    found = await log_entries(asked, wanted)
    left = asked.cursor(len(found))
    start = max(len(found) - left, 0)
    entries, earlier = found[start : start + CALLS_A_PAGE], max(len(found) - start - CALLS_A_PAGE, 0)
    values = {
        "entries": entries,
        "place": position_of(found),
        "earlier": earlier,
        "first": start == 0,
        "names": names,
        "wanted": wanted,
        "outcomes": OUTCOMES,
        "unread": shares_of(await asked.services.figures.totals(asked.shop, DAY)) if start == 0 else [],
    }
    return View("admin/logs.html", values)


def log_filter(query: Mapping[str, str]) -> dict[str, str]:
    return {name: query[name] for name in ("call", "outcome") if query.get(name)}


async def log_entries(asked: AdminCall, wanted: Mapping[str, str]) -> list[dict[str, Any]]:
    return matching((await calls.calls(asked.call())).body.calls, wanted)


def matching(entries: Sequence[dict[str, Any]], wanted: Mapping[str, str]) -> list[dict[str, Any]]:
    return [entry for entry in entries if all(entry[name] == value for name, value in wanted.items())]


def position_of(found: Sequence[Mapping[str, Any]]) -> str:
    """The position of a log, newest entries first: the newest time, and how many entries have it."""
    newest = found[0]["time"] if found else ""
    return f"{newest} {sum(entry['time'] == newest for entry in found)}"


async def health(asked: AdminCall) -> View:
    return View("admin/health.html", {"health": (await calls.health(asked.call())).body})


async def keys(asked: AdminCall) -> View:
    """The shop's keys, each by the first characters of its digest."""
    keys = asked.services.shops.keys_of(asked.shop)
    held = sorted(keys, key=lambda key: (not key.private, key.name, key.digest))
    return View(
        "admin/keys.html",
        {"keys": held, "own": asked.session.stored.key, "now": asked.services.clock(), "snippet": snippet()},
    )
