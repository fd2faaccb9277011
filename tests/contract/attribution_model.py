"""A plain reference of attribution, written from the README: who is who, what was logged under whom, what each order must then show.

Nothing here is clever or fast: everything is a list or a dictionary, and every question is answered by looking at all of it. Times are
whole seconds since 1970. Only an ID is taken from the service, once it is seen.
"""

from dataclasses import dataclass, field
from decimal import Decimal

Product = str | int
HOUR, DAY = 3_600, 86_400
GRACE = 1_800
"""A session that goes on at the end of its window is not cut for these seconds."""
FOREVER = 10**12
BROWSERS = ("phone", "laptop")
SERVER = "edge"
OWN = ("shopper-1", "shopper-2", "Somebody.Else")
"""IDs of the shop's own; the first two differ by one character."""


@dataclass(frozen=True)
class Terms:
    """A shop's settings, in days. `bridge`: the session before a grant counts for the visitor after it."""

    shop: str
    window: int
    attribution: int
    bridge: bool


@dataclass
class Logged:
    kind: str
    time: int
    products: list[Product]
    labels: list[str] | None = None
    api: str | None = None


@dataclass(eq=False)
class Visitor:
    """`ends`: when an ID without consent ends. `own`: an ID of the shop's. `ident`: the ID, once the service has told it. `session`: the
    one before its first grant that had one, which counts for this visitor."""

    ends: int
    own: bool = False
    ident: str | None = None
    persistent: bool = False
    granted_at: int | None = None
    gone_at: int | None = None
    logged: list[Logged] = field(default_factory=list)
    logged_until: int = 0
    session: "Visitor | None" = None
    emails: set[str] = field(default_factory=set)
    mixed: bool = False
    customers: set[str] = field(default_factory=set)
    links_until: int = 0


@dataclass
class Credit:
    product: Product
    labels: list[str]
    api: str | None
    clicked_at: int


@dataclass
class Line:
    product: Product
    quantity: int
    price: Decimal

    @property
    def revenue(self) -> Decimal:
        return self.price * self.quantity


@dataclass
class Order:
    """`missing`: the first broken link, None where credits were given. `erased`: its visitor was removed after it; the shop's figures still
    count what it was `counted_as`, attributed or other."""

    time: int
    mode: str
    lines: list[Line]
    visitor: Visitor | None
    email: str | None
    customer: str | None
    credits: list[Credit]
    missing: str | None
    counted_as: str
    erased: bool = False

    @property
    def labels(self) -> list[str]:
        return list(dict.fromkeys(label for credit in self.credits for label in credit.labels))

    @property
    def revenue(self) -> Decimal:
        return sum((line.revenue for line in self.lines), Decimal(0))


@dataclass
class Held:
    """What a browser or a server keeps: the token of its session, and the one that a grant gave it."""

    session: Visitor | None = None
    consent: Visitor | None = None


@dataclass
class Figures:
    clicks: int = 0
    orders: int = 0
    revenue: Decimal = Decimal(0)


class Model:
    def __init__(self, terms: Terms, now: int) -> None:
        self.terms = terms
        self.now = now
        self.held = {who: Held() for who in (*BROWSERS, SERVER)}
        self.own = {name: Visitor(FOREVER, own=True, ident=name) for name in OWN}
        self.sessions: dict[tuple[str, int], Visitor] = {}
        self.visitors: list[Visitor] = list(self.own.values())
        self.orders: dict[str, Order] = {}
        self.counted: list[tuple[int, str, Figures]] = []

    # Who is who.

    def session(self, browser: str) -> Visitor:
        """The cookieless visitor of a browser: one a window; a session that goes on at its end is carried over."""
        length = self.terms.window * DAY
        start = self.now - self.now % length
        before = self.sessions.get((browser, start - length))
        if before and self.in_session(before):
            return before
        if (browser, start) not in self.sessions:
            self.sessions[browser, start] = self.meet(Visitor(start + length + GRACE))
        return self.sessions[browser, start]

    def in_session(self, visitor: Visitor) -> bool:
        kept = self.kept(visitor)
        return self.now < visitor.ends and bool(kept) and kept[-1].time > self.now - GRACE

    def meet(self, visitor: Visitor) -> Visitor:
        self.visitors.append(visitor)
        return visitor

    def token(self, who: str, how: str) -> Visitor | None:
        """Whose token the call brings."""
        if who in OWN or how in {"absent", "null", "auto"}:
            return None
        held = self.held[who]
        return held.session if how == "session" else held.consent or held.session

    def about(self, who: str, how: str) -> tuple[str, Visitor | None]:
        """The mode of a tracking call, and its visitor. Absent and ended have no session; null and gone keep what was bought alone."""
        if how in {"absent", "null"}:
            return ("none" if how == "absent" else "null"), None
        visitor = self.own[who] if who in OWN else self.token(who, how)
        if visitor is None and who in BROWSERS:
            visitor = self.session(who)
        if visitor is not None and visitor.gone_at is not None:
            return "null", None
        if visitor is None or (not visitor.persistent and self.now >= visitor.ends):
            return "none", None
        return ("persistent" if visitor.persistent else "cookieless"), visitor

    # Coming, granting, refusing, erasing.

    def arrive(self, who: str) -> Visitor | None:
        """A visitor who says nothing. None where the browser's session was withdrawn."""
        visitor = self.session(who) if who in BROWSERS else self.meet(Visitor(self.now + self.terms.window * DAY))
        self.held[who].session = visitor if visitor.gone_at is None else None
        return self.held[who].session

    def grant(self, who: str, token: Visitor | None) -> Visitor | None:
        """The persistent visitor; None where a withdrawal of the same moment wins."""
        named = self.own[who] if who in OWN else token
        if named and named.gone_at is not None and named.gone_at >= self.now:
            return None
        granted = named if named and self.is_kept(who, named) else self.meet(Visitor(FOREVER))
        if who in BROWSERS and self.terms.bridge and granted.session is None and granted.granted_at != self.now:
            before = token if token and self.is_running(token) else self.session(who)
            granted.session = before if before.gone_at is None else None
        if who not in OWN:
            self.held[who] = Held(self.held[who].session if who in BROWSERS else None, granted)
        granted.logged, granted.logged_until = self.kept(granted), FOREVER
        self.end_links(granted)
        granted.persistent, granted.gone_at, granted.links_until, granted.granted_at = True, None, FOREVER, self.now
        return granted

    def is_kept(self, who: str, named: Visitor) -> bool:
        """The shop's own ID, a persistent one and a server's random one stay the same; a browser's derived one may be shared."""
        if who in OWN or named.persistent:
            return True
        return who == SERVER and named.gone_at is None and self.now < named.ends

    def is_running(self, token: Visitor) -> bool:
        return token in self.sessions.values() and (self.now < token.ends - GRACE or self.in_session(token))

    def refuse(self, who: str, token: Visitor | None) -> None:
        """Withdraws the ID it names and no other; naming none, the browser's session."""
        named = self.own[who] if who in OWN else token
        if named is None and who in BROWSERS:
            named = self.session(who)
        if who not in OWN:
            self.held[who] = Held()
        if named:
            self.remove(named)

    def remove(self, visitor: Visitor) -> None:
        """Withdrawn or erased: everything goes at once; orders stay, with nothing of the person or its history."""
        visitor.gone_at, visitor.persistent, visitor.session = self.now, False, None
        visitor.logged, visitor.links_until = [], 0
        self.end_links(visitor)
        for order in self.orders.values():
            if order.visitor is visitor:
                order.visitor, order.email, order.customer, order.credits, order.erased = None, None, None, [], True

    def erase_email(self, email: str) -> None:
        """Visitors that it alone holds go whole; another email, or a second customer ID, keeps a visitor."""
        for visitor in self.visitors:
            self.end_links(visitor)
            if email in visitor.emails:
                visitor.emails.remove(email)
                visitor.mixed = bool(visitor.emails or visitor.customers)
                if not visitor.mixed:
                    self.remove(visitor)
        for order in self.orders.values():
            order.email = None if order.email == email else order.email

    def exported(self, email: str) -> list[str]:
        """The orders that name the email, and all those of visitors that no other email is linked to, nor was until it was erased."""
        for visitor in (order.visitor for order in self.orders.values() if order.visitor):
            self.end_links(visitor)
        whole = [one for one in self.orders.values() if one.visitor and one.visitor.emails == {email} and not one.visitor.mixed]
        return sorted(sale for sale, one in self.orders.items() if email == one.email or one in whole)

    def proves(self, who: str, how: str) -> bool:
        """A private key names an own ID, and a token its visitor; an address that many may share proves nothing."""
        return who in OWN or self.token(who, how) is not None

    def link(self, visitor: Visitor, email: str | None, customer: str | None, *, proven: bool) -> None:
        """Links end with their visitor; the session of an own ID is one window from its first link. Those without proof hold nobody."""
        self.end_links(visitor)
        if not visitor.links_until and (email or customer):
            visitor.links_until = self.now + self.terms.window * DAY if visitor.own else visitor.ends
        visitor.emails |= {email} if email and proven else set()
        visitor.customers |= {customer} if customer and proven else set()

    def end_links(self, visitor: Visitor) -> None:
        if visitor.links_until <= self.now:
            visitor.emails, visitor.customers, visitor.mixed, visitor.links_until = set(), set(), False, 0

    # What is logged.

    def kept(self, visitor: Visitor) -> list[Logged]:
        """Oldest first; activity ends with the window, that of a persistent visitor does not."""
        return visitor.logged if self.now < visitor.logged_until else []

    def keep(self, visitor: Visitor, logged: Logged) -> None:
        visitor.logged = self.kept(visitor)
        if not visitor.logged:
            visitor.logged_until = self.now + self.terms.window * DAY if visitor.own else visitor.ends
        if visitor.persistent:
            visitor.logged_until = FOREVER
        visitor.logged.append(logged)

    def counting(self, visitor: Visitor) -> list[Logged]:
        """Newest first, with the session before the grant; of one second the visitor's own come first."""
        before = self.kept(visitor.session) if visitor.session else []
        everything = [*reversed(self.kept(visitor)), *reversed(before)]
        found: list[Logged] = []
        for second in sorted({logged.time for logged in everything}, reverse=True):
            found += [logged for logged in everything if logged.time == second]
        return found

    def log(self, kind: str, who: str, how: str, products: list[Product], labels: list[str] | None, api: str | None) -> None:
        _, visitor = self.about(who, how)
        labels = None if labels is None else [label for label in labels if label.strip()]
        logged = Logged(kind, self.now, products, labels, api)
        if visitor and kind == "click" and labels is None:
            for shown in self.counting(visitor):
                if shown.kind == "results" and same(products[0], shown.products):
                    logged.labels, logged.api = shown.labels, api or shown.api
                    break
        if visitor:
            self.keep(visitor, logged)
        if kind == "click":
            self.counted += [(self.now, label, Figures(clicks=1)) for label in logged.labels or []]

    def log_email(self, who: str, how: str, email: str) -> None:
        _, visitor = self.about(who, how)
        if visitor:
            self.link(visitor, email, None, proven=self.proves(who, how))

    def sell(self, number: str, who: str, how: str, lines: list[Line], email: str | None, customer: str | None) -> None:
        """A sale ID counts once."""
        if number in self.orders:
            return
        mode, visitor = self.about(who, how)
        found, missing = self.attribute([line.product for line in lines], visitor, mode)
        personal = mode != "null"
        handles = (email, customer) if personal else (None, None)
        order = Order(self.now, mode, lines, visitor, *handles, found, missing, "attributed" if found else "other")
        self.orders[number] = order
        if visitor:
            self.keep(visitor, Logged("sale", self.now, [line.product for line in lines]))
            self.link(visitor, email, customer, proven=self.proves(who, how))
        for label in order.labels:
            credited = [line for line in lines if any(same(line.product, [one.product]) and label in one.labels for one in found)]
            revenue = sum((line.revenue for line in credited), Decimal(0))
            self.counted.append((self.now, label, Figures(orders=1, revenue=revenue)))

    def attribute(self, bought: list[Product], visitor: Visitor | None, mode: str) -> tuple[list[Credit], str | None]:
        if visitor is None:
            return [], "no_visitor" if mode == "none" else "null_mode"
        oldest = self.now - self.terms.attribution * DAY
        clicks = [logged for logged in self.counting(visitor) if logged.kind == "click" and logged.time >= oldest]
        found: dict[Product, Credit] = {}
        for product in bought:
            for click in clicks:
                if click.labels and same(product, click.products):
                    credit = found.setdefault(product, Credit(product, [], click.api, click.time))
                    credit.labels += [label for label in click.labels if label not in credit.labels]
        if found:
            return list(found.values()), None
        if not clicks:
            return [], "no_click"
        matching = [click for click in clicks if same(click.products[0], bought)]
        if not matching:
            return [], "other_product"
        return [], "blank_labels" if any(click.labels is not None for click in matching) else "no_labels"

    # What is read.

    def broken(self, order: Order) -> str | None:
        if order.erased:
            return "erased"
        if order.missing == "no_click" and order.visitor:
            bought = [line.product for line in order.lines]
            for other in self.own.values():
                clicks = [logged for logged in self.kept(other) if logged.kind == "click"]
                if differs_by_one(order.visitor.ident, other.ident) and any(same(click.products[0], bought) for click in clicks):
                    return "similar_visitor"
        return order.missing

    def figures(self) -> dict[str, Figures]:
        """By label, of the shop's attribution days; they are kept by the hour, the present one counts as the last."""
        found: dict[str, Figures] = {}
        for time, label, one in self.counted:
            if self.is_recent(time):
                sums = found.setdefault(label, Figures())
                sums.clicks, sums.orders, sums.revenue = sums.clicks + one.clicks, sums.orders + one.orders, sums.revenue + one.revenue
        return found

    def totals(self, counted_as: str) -> tuple[int, Decimal]:
        recent = [order for order in self.orders.values() if order.counted_as == counted_as and self.is_recent(order.time)]
        return len(recent), sum((order.revenue for order in recent), Decimal(0))

    def is_recent(self, time: int) -> bool:
        return self.now // HOUR - time // HOUR < self.terms.attribution * 24


def same(product: Product, others: list[Product]) -> bool:
    """IDs compare as text."""
    return str(product) in [str(other) for other in others]


def differs_by_one(ident: str | None, other: str | None) -> bool:
    if ident is None or other is None or len(ident) != len(other):
        return False
    return [letter == beside for letter, beside in zip(ident, other, strict=True)].count(False) == 1
