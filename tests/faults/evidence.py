"""What a history proves about one shop: which operations could have followed which. Operations that were refused prove nothing."""

from collections import defaultdict
from collections.abc import Iterable

from tests.faults.history import Kind, Operation, Outcome

Pair = tuple[str, str]
"""Email and visitor."""


def is_ok(operation: Operation) -> bool:
    return operation.outcome is Outcome.OK


def over_before(operations: Iterable[Operation], moment: float) -> bool:
    """Whether none of them could have had an effect at the moment or later."""
    return all(one.until < moment for one in operations)


class Evidence:
    """Of one shop."""

    def __init__(self, shop: str, operations: Iterable[Operation]) -> None:
        self.operations = [one for one in operations if one.shop == shop and one.outcome is not Outcome.FAIL]
        self._grant_is_needed = shop == "strict"
        self.adds: dict[Pair, list[Operation]] = defaultdict(list)
        self._emails: dict[str, set[str]] = defaultdict(set)
        self._of: dict[tuple[Kind, str], list[Operation]] = defaultdict(list)
        self.sales: dict[str, list[Operation]] = defaultdict(list)
        self.clicks = [one for one in self.operations if one.kind is Kind.CLICK]
        self.visitors = {one.visitor for one in self.operations if one.visitor}
        self.emails = {one.email for one in self.operations if one.email}
        for one in self.operations:
            self._file(one)

    def _file(self, one: Operation) -> None:
        if one.kind in {Kind.LINK, Kind.SALE} and one.email and one.visitor:
            self.adds[one.email, one.visitor].append(one)
            self._emails[one.visitor].add(one.email)
        if one.kind is Kind.SALE:
            self.sales[one.arguments["sale"]].append(one)
        subject = {Kind.ERASE: one.email, Kind.UNLINK: f"{one.email} {one.visitor}"}.get(one.kind, one.visitor)
        self._of[one.kind, subject].append(one)

    @property
    def pairs(self) -> list[Pair]:
        return list(self.adds)

    def grants(self, visitor: str) -> list[Operation]:
        return self._of[Kind.GRANT, visitor]

    def withdrawals(self, visitor: str) -> list[Operation]:
        """Those that surely took the visitor whole: its own, and erasures of the only email that it ever had."""
        return self._of[Kind.WITHDRAW, visitor] + [one for one in self._erasures(visitor) if self._took(one, visitor)]

    def removals(self, visitor: str) -> list[Operation]:
        """Everything that may have taken the visitor whole."""
        return self._of[Kind.WITHDRAW, visitor] + self._erasures(visitor)

    def unlinks(self, pair: Pair) -> list[Operation]:
        return self._of[Kind.UNLINK, f"{pair[0]} {pair[1]}"]

    def erasures(self, email: str) -> list[Operation]:
        return self._of[Kind.ERASE, email]

    def removals_of_link(self, pair: Pair) -> list[Operation]:
        """Everything that may have taken the link away."""
        return self.unlinks(pair) + self.erasures(pair[0]) + self.removals(pair[1])

    def _erasures(self, visitor: str) -> list[Operation]:
        return [one for email in self._emails[visitor] for one in self._of[Kind.ERASE, email]]

    def _took(self, erasure: Operation, visitor: str) -> bool:
        """Not where a link or a grant of the visitor came at the same time: then it may stay, without this link."""
        pair = (erasure.email, visitor)
        if self._emails[visitor] != {erasure.email} or not is_ok(erasure):
            return False
        linked = [one for one in self.adds[pair] if one.kind is Kind.LINK and is_ok(one) and one.ended < erasure.began]
        others = [one for one in self.removals_of_link(pair) if one is not erasure and one.began <= erasure.ended]
        meanwhile = [one for one in self.adds[pair] + self.grants(visitor) if one.began <= erasure.ended]
        return over_before(meanwhile, erasure.began) and any(over_before(others, one.began) for one in linked)

    def surely_recorded(self, one: Operation) -> bool:
        """Whether a click or sale that was answered had a visitor, and nothing can have taken it away since."""
        removals = self.removals(one.visitor)
        if not is_ok(one) or not over_before(removals, one.began):
            return False
        grants = [grant for grant in self.grants(one.visitor) if is_ok(grant) and grant.ended < one.began]
        granted = any(over_before(removals, grant.began) for grant in grants)
        return granted or not (removals or self._grant_is_needed)

    def winners(self, sale: str) -> list[Operation]:
        """The calls with a sale ID that may have been the first: no other had been answered when they began."""
        calls = self.sales[sale]
        first = min((one.ended for one in calls if is_ok(one)), default=None)
        return [one for one in calls if first is None or one.began <= first]
