"""A person's name is read back as it was written, and handles and visitors are told apart."""

import pytest

from identity_service.model.handle import Handle, HandleKind
from identity_service.model.person import VISITOR, Person, name_of, person_named
from identity_service.model.visitor import VisitorId


@pytest.mark.parametrize("person", [Handle(HandleKind.EMAIL, "v1"), Handle(HandleKind.CUSTOMER, "e"), VisitorId("e"), VisitorId("visitor")])
def test_a_name_is_read_back(person: Person) -> None:
    assert person_named(name_of(person)) == person


def test_no_kind_of_handle_has_the_letter_of_visitors() -> None:
    assert VISITOR not in set(HandleKind)
