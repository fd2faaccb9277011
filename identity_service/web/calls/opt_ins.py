"""Opt-ins to sale and sharing, in two steps."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from identity_service.errors import Forbidden
from identity_service.model.utc import rfc3339
from identity_service.web.call import Call, Reply
from identity_service.web.payloads import TOKEN, Body, Client, ReceiptAnswer, Time, VisitorText, about
from identity_service.web.visit import receipt_answer, visit_of

ConfirmationText = Annotated[str, Meta(max_length=200)]


class SaleOptInBody(Body, frozen=True):
    """Without `confirmation`, the first step."""

    confirmation: Annotated[ConfirmationText | UnsetType, about("The answer of the first step, once the person has confirmed.")] = UNSET
    visitor: Annotated[VisitorText | UnsetType | None, about("The visitor's ID. Only a private key may send it.")] = UNSET
    token: Annotated[VisitorText | UnsetType | None, TOKEN] = UNSET
    client: Annotated[Client | UnsetType | None, about("The visitor's surroundings. Only a private key may send them.")] = UNSET


class SaleOptInAnswer(Struct, frozen=True, omit_defaults=True):
    """`confirmation` with its end after the first step, the other members after the second."""

    confirmation: Annotated[str | UnsetType, about("Send it once the person has confirmed.")] = UNSET
    expires_at: Annotated[Time | UnsetType, about("When the confirmation ends, in RFC 3339: 15 minutes after the first step.")] = UNSET
    visitor: Annotated[str | UnsetType, about("The ID of the visitor who opted in.")] = UNSET
    mode: Annotated[Literal["cookieless", "persistent"] | UnsetType, about("The ID's mode.")] = UNSET
    sale_share_opt_out: Annotated[
        bool | UnsetType, about("False, unless the person opted out again meanwhile, with this visitor or another one.")
    ] = UNSET
    receipt: Annotated[ReceiptAnswer | UnsetType | None, about("Proof of the opt-in. Null once it is not kept any more.")] = UNSET


async def opt_in(call: Call) -> Reply:
    """Raises Forbidden for a bare ID with a public key, which proves nobody's word."""
    body = call.body
    if isinstance(body.visitor, str) and not call.private:
        raise Forbidden("visitor: only a private key may send an ID; with a public key, send the visitor's token.")
    visit, opt_ins = visit_of(call, signals=()), call.services.opt_ins
    if isinstance(body.confirmation, UnsetType):
        asked = await opt_ins.ask(visit)
        return Reply(SaleOptInAnswer(confirmation=asked.text, expires_at=rfc3339(asked.expires_at)))
    done = await opt_ins.confirm(visit, body.confirmation, call.now)
    receipt = receipt_answer(done.receipt.members()) if done.receipt else None
    mode: Literal["cookieless", "persistent"] = done.mode.value  # type: ignore[assignment]  # nobody opts in without an ID
    return Reply(SaleOptInAnswer(visitor=done.visitor, mode=mode, sale_share_opt_out=done.sale_share_opt_out, receipt=receipt))
