"""A person as calls and pages name one: by the handle of an email or a customer ID, or by a visitor."""

from typing import TypeAlias

from identity_service.model.handle import Handle, handle_named
from identity_service.model.visitor import VisitorId

Person: TypeAlias = Handle | VisitorId
VISITOR = "v"
"""Before a visitor's ID in a name. Handles have other letters."""


def name_of(person: Person) -> str:
    """In one word, as the audit and sealed references have it."""
    return person.name if isinstance(person, Handle) else f"{VISITOR}{person}"


def person_named(name: str) -> Person:
    return VisitorId(name[1:]) if name.startswith(VISITOR) else handle_named(name)
