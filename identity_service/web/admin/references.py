"""What an address of a page names: an email or a customer ID by its digest, or a visitor, sealed. So results survive Back and reload, and
no address contains an email or an ID."""

from collections.abc import Callable

from identity_service.errors import Invalid
from identity_service.model.handle import Handle
from identity_service.model.person import Person, name_of, person_named
from identity_service.model.visitor import VisitorId, own_visitor_id
from identity_service.web.admin.pages import AdminCall
from identity_service.web.call import Reply
from identity_service.web.calls.links import RightsBody, handle_of
from identity_service.web.pages import HTML

HANDLES = ("email", "customer")
PERSONS = (*HANDLES, "visitor")
"""Fields of forms that name a person."""
ENDED = "This address has ended, or belongs to another session. Enter the value again."
ONE_FIELD = "Enter either an email or a customer ID."
CERTIFICATE = "="
"""Before a certificate in a reference. Names of persons begin with a letter."""


def reference_maker(asked: AdminCall) -> Callable[[Person], str]:
    """For templates: gives a person's reference."""

    def ref(person: Person) -> str:
        return seal(asked, name_of(person))

    return ref


def seal(asked: AdminCall, text: str) -> str:
    return asked.services.admin.references.seal(asked.shop.shop_id, asked.session.stored.form_token, text, int(asked.services.clock()))


def unseal(asked: AdminCall) -> str:
    """The text of the reference in the query or the form. Raises Invalid."""
    reference = (asked.query if asked.form is None else asked.form).get("ref", "")
    now = int(asked.services.clock())
    text = asked.services.admin.references.open(asked.shop.shop_id, asked.session.stored.form_token, reference, now)
    if text is None:
        raise Invalid(ENDED)
    return text


def person_of_reference(asked: AdminCall) -> Person:
    """Raises Invalid."""
    text = unseal(asked)
    if text.startswith(CERTIFICATE):
        raise Invalid(ENDED)
    return person_named(text)


def handle_of_reference(asked: AdminCall) -> Handle:
    """Raises Invalid, also for the reference of a visitor."""
    person = person_of_reference(asked)
    if not isinstance(person, Handle):
        raise Invalid(ENDED)
    return person


def visitor_of_reference(asked: AdminCall) -> VisitorId:
    """Raises Invalid, also for the reference of an email."""
    person = person_of_reference(asked)
    if isinstance(person, Handle):
        raise Invalid(ENDED)
    return person


def person_in_form(asked: AdminCall, names: tuple[str, ...]) -> Person:
    """Whom the only field that is filled in names. Raises Invalid."""
    filled = [name for name in names if asked.form and asked.form.get(name, "").strip()]
    if len(filled) != 1:
        raise Invalid(ONE_FIELD if names == HANDLES else "Enter an email, a customer ID or a visitor ID.")
    body = asked.body(RightsBody, *filled)
    return own_visitor_id(str(body.visitor)) if filled == ["visitor"] else handle_of(asked.call(body))


def lead_to(page: str, reference: str) -> Reply:
    """Redirects a posted form to the address of its result."""
    return Reply(b"", 303, HTML, headers=[(b"location", f"{page}?ref={reference}".encode())])
