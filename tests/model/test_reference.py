"""A reference says to its own session, for an hour, what it names, and to everybody else nothing."""

import pytest

from identity_service.model.reference import LIFE, References

OLD, NEW = "an-old-key-of-the-tests-with-43-characters_", "another-key-of-the-tests-with-43-characters"
NOW = 1_795_000_000


def test_a_reference_opens_for_its_session_until_it_ends() -> None:
    references = References([OLD, NEW])
    sealed = references.seal("demo", "session", "eDIGEST", NOW)
    assert references.open("demo", "session", sealed, NOW + LIFE - 1) == "eDIGEST"
    assert references.open("demo", "session", sealed, NOW + LIFE) is None
    for shop, session in (("other", "session"), ("demo", "another"), ("demose", "ssion")):
        assert references.open(shop, session, sealed, NOW) is None


def test_a_reference_reveals_nothing_and_no_two_are_alike() -> None:
    references = References([NEW])
    first, second = (references.seal("demo", "session", "vVISITOR", NOW) for _ in range(2))
    assert first != second
    assert "VISITOR" not in first
    assert len(references.seal("demo", "session", "e" + "x" * 22, NOW)) < 100


def test_references_outlive_a_change_of_keys() -> None:
    sealed = References([OLD]).seal("demo", "session", "eDIGEST", NOW)
    assert References([OLD, NEW]).open("demo", "session", sealed, NOW) == "eDIGEST"
    assert References([NEW]).open("demo", "session", sealed, NOW) is None


@pytest.mark.parametrize("changed", ["", "x", "ä", "A" * 90, "A" * 5_000, "=", "%", "\0"])
def test_what_was_not_sealed_does_not_open(changed: str) -> None:
    assert References([NEW]).open("demo", "session", changed, NOW) is None


def test_every_changed_letter_is_noticed() -> None:
    references = References([NEW], lambda length: b"n" * length)
    sealed = references.seal("demo", "session", "eDIGEST", NOW)
    for at, letter in enumerate(sealed[:-1]):
        assert references.open("demo", "session", sealed[:at] + ("A" if letter != "A" else "B") + sealed[at + 1 :], NOW) is None
