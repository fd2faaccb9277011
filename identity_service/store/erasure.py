"""An erasure by handle, as its removals remember it until each visitor is dealt with."""

from dataclasses import dataclass

from identity_service.consent import Millis


@dataclass(frozen=True, slots=True)
class HandleErasure:
    """`unproven`: it reaches visitors that the handle holds without proof, too."""

    at: Millis
    unproven: bool

    @property
    def kind(self) -> str:
        """As removals at a handle are marked with it."""
        return "a" if self.unproven else "e"


def erasure_of(removal: str) -> HandleErasure | None:
    """From a removal as it is stored at its handle, kind and time; None for one of another kind."""
    kind, _, at = removal.partition(" ")
    return HandleErasure(Millis(int(at)), kind == "a") if kind in {"e", "a"} else None
