"""Attribution: label → click → sale.

A product of an order is credited to the labels of the same visitor's clicks on it, within the shop's window before the sale. Later clicks
change nothing. If a link of the chain is missing, the first missing one is the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from identity_service.model.event import Event, EventType, ProductId, first_bytes

MOST_LABEL_BYTES = 2_048
"""Per credit. The newest labels are kept."""
MOST_CREDIT_BYTES = 16_384
"""Per order. The first credits are kept, because a withdrawal removes those of hundreds of orders in one step."""


class Break(StrEnum):
    """The first missing link of the chain."""

    NULL_MODE = "null_mode"
    NO_VISITOR = "no_visitor"
    NO_CLICK = "no_click"
    SIMILAR_VISITOR = "similar_visitor"
    OTHER_PRODUCT = "other_product"
    NO_LABELS = "no_labels"
    BLANK_LABELS = "blank_labels"
    ERASED = "erased"
    AGENT = "agent"


EXPLANATIONS = {
    Break.NULL_MODE: "Tracking is off for this visitor (visitor is null, its consent forbids an ID, or it has withdrawn), so only the"
    " order itself is known.",
    Break.NO_VISITOR: "The sale call had no usable visitor: none was sent, its token had expired, or a server sent auto. Always send the"
    " same visitor parameter as in the click calls.",
    Break.NO_CLICK: "No click of this visitor was logged before the sale. Call log/click each time a visitor clicks a product that an"
    " element shows, and keep the visitor ID the same from the first page view to the sale.",
    Break.SIMILAR_VISITOR: "Clicks were logged under a visitor ID that differs by one character. The ID of the sale must match"
    " exactly; a different format, an extra character or a regenerated ID breaks the link.",
    Break.OTHER_PRODUCT: "Among the visitor's newest events, the clicked product IDs differ from those it bought. Use the parent"
    " product's ID in both log/click and log/sale, never the ID of a variant.",
    Break.NO_LABELS: "The clicks had no labels, and no results call had shown the product before. Send labels with results or clicks.",
    Break.BLANK_LABELS: "The labels of the clicks were empty or whitespace, so their element is unknown. Send a label for each element.",
    Break.AGENT: "An agent placed this order for a person. Its clicks count under the agent, and those of people are not its own.",
    Break.ERASED: "The visitor of this order has withdrawn or was erased, so only the order itself is kept.",
}
ATTRIBUTED = "The order is attributed to the labels of the clicks that led to it."
ONE_LABEL = "All clicks of this shop have the same label, so elements cannot be distinguished. Use a unique label for each element."


@dataclass(frozen=True, slots=True)
class Credit:
    """One product of an order, and the labels of the clicks on it, newest first. `clicked_at`: seconds since 1970."""

    product: ProductId
    labels: tuple[str, ...]
    api: str | None
    clicked_at: int

    def members(self) -> dict[str, Any]:
        return {"product": self.product, "labels": list(self.labels), "api": self.api, "clicked_at": self.clicked_at}


@dataclass(frozen=True, slots=True)
class Attribution:
    """The credits that an order keeps, or the reason why there are none."""

    credits: tuple[Credit, ...] = ()
    missing: Break | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(label for credit in self.credits for label in credit.labels))


def attribute(products: Sequence[ProductId], events: Sequence[Event], now: int, window: int) -> Attribution:
    """`events`: those of one visitor, in any order. `window`: seconds before `now` in which clicks count. IDs are compared as text."""
    clicks = sorted(
        (event for event in events if event.type is EventType.CLICK and now - window <= event.time <= now), key=lambda click: -click.time
    )
    by_product: dict[str, list[Event]] = {}
    for click in clicks:
        for clicked in dict.fromkeys(map(str, click.products)):
            by_product.setdefault(clicked, []).append(click)
    found = tuple(credit for product in dict.fromkeys(products) if (credit := _credit(product, by_product.get(str(product), ()))))
    if found:
        return Attribution(first_bytes(found, MOST_CREDIT_BYTES))
    if not clicks:
        return Attribution(missing=Break.NO_CLICK)
    matching = [click for product in products for click in by_product.get(str(product), ())]
    if not matching:
        return Attribution(missing=Break.OTHER_PRODUCT)
    blank = any(click.labels is not None for click in matching)
    return Attribution(missing=Break.BLANK_LABELS if blank else Break.NO_LABELS)


def _credit(product: ProductId, clicks: Sequence[Event]) -> Credit | None:
    """`clicks`: those on the product, newest first."""
    labelled = [click for click in clicks if click.labels]
    if not labelled:
        return None
    labels = dict.fromkeys(label for click in labelled for label in click.labels or ())
    return Credit(product, first_bytes(labels, MOST_LABEL_BYTES), labelled[0].api, labelled[0].time)
