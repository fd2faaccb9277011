"""Attribution against a plain reference over random histories, and each missing link of the chain."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from identity_service.model.attribution import MOST_CREDIT_BYTES, Attribution, Break, attribute
from identity_service.model.event import Event, EventType, ProductId, compact

Credits = list[tuple[ProductId, list[str], str | None, int]]
NOW, WINDOW = 1_000, 100
PRODUCTS = st.sampled_from([1, 2, "1", "3", "SKU"])
KNOWN = [
    Event(kind, time, products, labels, api)
    for kind in (EventType.CLICK, EventType.CLICK, EventType.CLICK, EventType.RESULTS, EventType.SALE)
    for time in (0, 899, 900, 901, 950, 999, 1_000, 1_001)
    for products in ((1,), (2,), ("1",), ("3",), ("SKU",), (1, "3"), ("SKU", 2))
    for labels in (None, (), ("a",), ("b",), ("c",), ("a", "b"), ("b", "a"))
    for api in (None, "search")
]
EVENTS = st.sampled_from(KNOWN)


def counting_clicks(events: list[Event]) -> list[Event]:
    """Newest first; of one second, in the order in which they came."""
    clicks: list[Event] = []
    for second in range(NOW, NOW - WINDOW - 1, -1):
        for event in events:
            if event.type == EventType.CLICK and event.time == second:
                clicks.append(event)  # noqa: PERF401
    return clicks


def reference(bought: list[ProductId], events: list[Event]) -> tuple[Credits, Break | None]:
    clicks = counting_clicks(events)
    found: Credits = []
    done: list[ProductId] = []
    same_product, labels_sent = False, False
    for product in bought:
        labels: list[str] = []
        newest: Event | None = None
        for click in clicks:
            for clicked in click.products:
                if str(clicked) != str(product):
                    continue
                same_product = True
                if click.labels is None:
                    continue
                labels_sent = True
                for label in click.labels:
                    newest = newest or click
                    if label not in labels:
                        labels.append(label)
        if newest and product not in done:
            found.append((product, labels, newest.api, newest.time))
        done.append(product)
    if found:
        return found, None
    if not clicks:
        return [], Break.NO_CLICK
    if not same_product:
        return [], Break.OTHER_PRODUCT
    return [], Break.BLANK_LABELS if labels_sent else Break.NO_LABELS


def told(attribution: Attribution) -> tuple[Credits, Break | None]:
    credited: Credits = [(one.product, list(one.labels), one.api, one.clicked_at) for one in attribution.credits]
    return credited, attribution.missing


def test_the_plain_reference_agrees_on_every_history(long: bool) -> None:
    @settings(max_examples=10_000 if long else 1_000, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(PRODUCTS, min_size=1, max_size=3), st.lists(EVENTS, max_size=6))
    def agrees(bought: list[ProductId], events: list[Event]) -> None:
        assert told(attribute(bought, events, NOW, WINDOW)) == reference(bought, events)

    agrees()


@settings(max_examples=500, deadline=None)
@given(st.lists(PRODUCTS, min_size=1, max_size=3), st.lists(EVENTS, max_size=6), EVENTS)
def test_a_later_click_changes_nothing(bought: list[ProductId], events: list[Event], later: Event) -> None:
    late = Event(EventType.CLICK, NOW + 1 + later.time, later.products, later.labels, later.api)
    assert attribute(bought, [late, *events], NOW, WINDOW) == attribute(bought, events, NOW, WINDOW)


@settings(max_examples=500, deadline=None)
@given(st.lists(PRODUCTS, min_size=1, max_size=3), st.lists(EVENTS, max_size=6))
def test_either_credits_or_a_missing_link_is_told(bought: list[ProductId], events: list[Event]) -> None:
    found = attribute(bought, events, NOW, WINDOW)
    assert bool(found.credits) == (found.missing is None)
    assert all(credit.labels for credit in found.credits)


def click(product: ProductId, labels: tuple[str, ...] | None = None, time: int = NOW) -> Event:
    return Event(EventType.CLICK, time, (product,), labels)


def test_no_events_are_no_click() -> None:
    assert attribute([5], [], NOW, WINDOW).missing is Break.NO_CLICK


def test_what_was_shown_or_seen_is_no_click() -> None:
    events = [Event(kind, NOW, (5,), ("Home",)) for kind in EventType if kind is not EventType.CLICK]
    assert attribute([5], events, NOW, WINDOW).missing is Break.NO_CLICK


def test_a_click_counts_up_to_the_windows_very_end_and_the_sales_own_second() -> None:
    found = [attribute([5], [click(5, ("Home",), time)], NOW, WINDOW).labels for time in (899, 900, 1_000, 1_001)]
    assert found == [(), ("Home",), ("Home",), ()]


def test_a_click_on_something_else_is_another_product() -> None:
    assert attribute([5], [click(6, ("Home",))], NOW, WINDOW).missing is Break.OTHER_PRODUCT
    assert attribute(["SHIRT-RED-M"], [click("SHIRT", ("Home",))], NOW, WINDOW).missing is Break.OTHER_PRODUCT


def test_clicks_without_labels_are_told_from_clicks_with_blank_ones() -> None:
    assert attribute([5], [click(5)], NOW, WINDOW).missing is Break.NO_LABELS
    assert attribute([5], [click(5, ())], NOW, WINDOW).missing is Break.BLANK_LABELS
    assert attribute([5], [click(5), click(5, ())], NOW, WINDOW).missing is Break.BLANK_LABELS


def test_blank_labels_on_another_product_are_not_the_missing_link() -> None:
    assert attribute([5], [click(5), click(6, ())], NOW, WINDOW).missing is Break.NO_LABELS


def test_ids_compare_as_text() -> None:
    assert attribute([5], [click("5", ("Home",))], NOW, WINDOW).labels == ("Home",)
    assert attribute(["5"], [click(5, ("Home",))], NOW, WINDOW).labels == ("Home",)
    assert attribute(["05"], [click(5, ("Home",))], NOW, WINDOW).missing is Break.OTHER_PRODUCT


def test_each_product_is_credited_to_its_own_clicks_newest_label_first() -> None:
    events = [click(5, ("Old",), 950), click(5, ("New",), 960), click(6, ("Other",), 970), click(7, None, 980)]
    found = attribute([6, 5, 7], events, NOW, WINDOW)
    assert [(one.product, one.labels, one.clicked_at) for one in found.credits] == [(6, ("Other",), 970), (5, ("New", "Old"), 960)]


def test_a_product_on_two_lines_is_credited_once() -> None:
    assert len(attribute([5, 5], [click(5, ("Home",))], NOW, WINDOW).credits) == 1


def test_an_order_keeps_its_first_credits_and_the_newest_labels_of_each() -> None:
    """Or a withdrawal could not take them away from hundreds of orders in one step."""
    events = [click(product, (f"{product} {time:x>1000}",), time) for product in range(20) for time in (950, 960, 970)]
    found = attribute(range(20), events, NOW, WINDOW)
    assert [(one.product, len(one.labels), one.clicked_at) for one in found.credits] == [(number, 2, 970) for number in range(7)]
    assert len(compact([credit.members() for credit in found.credits])) < MOST_CREDIT_BYTES
