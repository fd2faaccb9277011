"""What each call does, which key it needs, and what its answer means, in the order of /openapi.json. The route table has the same names."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wording:
    """`summary`: a few words. `text`: one fact per sentence."""

    summary: str
    text: str


@dataclass(frozen=True, slots=True)
class Topic:
    """A tag of the description, the purpose of its calls, and their wording by name."""

    tag: str
    meaning: str
    calls: Mapping[str, Wording]


ABOUT = """\
Issues, signs and stores visitor IDs of webshops, and links them to emails. The server decides from consent.

**Keys.** A public key may be visible in browsers. A private key is for servers. Never put it into the URL of a `/v1` call. Send a key as
`Authorization: Bearer KEY`, or as the member `key` of the body.

**Calls.** Bodies and answers are JSON. Times are RFC 3339 in UTC. Under `/v1`, a body with an undescribed member is refused with 422,
except in `consent`, `client` and banners' events, and beside a readable refusal of consent. Under `/v2` and `/v3`, such members are
ignored. Unknown names in a query are always ignored. Every call is safe to repeat.

**Answers.** Every answer has `X-Request-Id`. Answers of calls are `Cache-Control: private, no-store`. Errors of `/v1` are
`application/problem+json`; those of `/v2` and `/v3` have the format of Clerk's API."""

SAME_AS_V2 = "The same call as under `/v2`."
BY_QUERY = (
    "The members are in the query. Send `products` as JSON text, or nested as `products[0][id]`. Send `labels` as JSON text, repeated, or"
    " as `labels[]`. If `callback` is set, the answer is a script that calls it. Its status is always 200."
)

VISITORS = Topic(
    "Visitors",
    "Issue a visitor's ID and verify its token.",
    {
        "issueVisitor": Wording(
            "Issue a visitor ID",
            "Decides the visitor's mode from its consent, and answers a new or known ID. With a public key, the call is about the calling"
            " device. With a private key, describe the visitor in `client`. Consent counts as remembered: only a dated choice overrides an"
            " earlier refusal. A refusal is always accepted. Robots and agents get no ID. Pass every `Set-Cookie` on to the visitor's"
            " browser.",
        ),
        "verifyToken": Wording(
            "Verify a token",
            "Checks whether a token is valid for this shop, and answers its visitor ID. With either key. An invalid token gets an answer"
            " with `valid: false`, not an error.",
        ),
    },
)
CONSENT = Topic(
    "Consent",
    "Report a visitor's choice, prove it, and preview what it decides.",
    {
        "reportConsent": Wording(
            "Report a consent choice",
            "Stores a choice that the visitor makes now. With either key. A page of the shop may call it directly. A grant gives a"
            " persistent ID and sets its cookie. A refusal withdraws: the call removes the visitor's record, links and cookie. The answer"
            " is the visitor's resulting ID with a signed receipt.",
        ),
        "reportBannerConsent": Wording(
            "Report a banner's event",
            "Reads a consent banner's event as JSON, or the banner's cookies as members by name, in addition to the members below. With"
            " either key. An undecided, unreadable or stale event is no choice: it grants nothing and erases nothing. The answer is as for"
            " `/v1/consents`.",
        ),
        "optIntoSale": Wording(
            "Opt in to sale",
            "Lifts an opt-out of sale and sharing, in two steps: the person asks for it, then confirms. With either key. The first call"
            " changes nothing and answers a `confirmation` for 15 minutes. The second one sends it, and answers a receipt. From then on,"
            " GPC and repeated signals do not opt the visitor out again. What the person says does. The opt-in also applies to the"
            " visitors that a private key linked to the same email or customer ID. 409 for a visitor without a record of its own. 422 for"
            " a confirmation that is wrong, another visitor's, used or too old.",
        ),
        "listReceipts": Wording(
            "Prove consent",
            "Answers a visitor's receipts, newest first. `at` selects the receipts in force at that time, and `receipt_id` a single one."
            " With a private key. Each has a `proof` that anybody can verify. Receipts of a withdrawn visitor are found by its token, not"
            " by its ID. An erased visitor has none. No receipt contains the visitor ID.",
        ),
        "verifyReceipt": Wording(
            "Verify a receipt",
            "Checks whether the service signed exactly this receipt for this shop. With a private key. The signing key must still be in"
            " the settings. If the receipt has a `proof`, the proof decides. The receipt may have expired.",
        ),
        "previewDecision": Wording(
            "Preview a decision",
            "Answers what a call with this body would decide, and every fact that the decision depends on. With a private key. It changes"
            " nothing. `policy` selects another policy.",
        ),
    },
)
LINKS = Topic(
    "Links and look-ups",
    "Link visitors to emails and customer IDs, and look them up.",
    {
        "linkVisitor": Wording(
            "Link an email or customer ID",
            "Links the visitor to an email or a customer ID. With a public key, send the visitor's token. With a private key, send its"
            " token or ID. The link's `proof` decides what exports show and erasures erase. 409 if the visitor withdrew, has no ID or"
            " refused links. 422 for a placeholder such as `null`.",
        ),
        "unlinkVisitor": Wording(
            "Unlink an email or customer ID",
            "Removes a link, no matter which call made it. With a private key. This is not a withdrawal: the visitor keeps its ID.",
        ),
        "lookUp": Wording(
            "Look up visitor IDs",
            "Answers the visitors of an email, its SHA-256, a customer ID, or up to 5,000 emails at once. `visitor` selects one visitor"
            " with the digests of its emails. With a private key. Send it in `Authorization` if the body is over 32 KiB. The list is empty"
            " if nothing is known. An invalid email in `emails` gets an error in its own result.",
        ),
    },
)
RIGHTS = Topic(
    "Rights",
    "Export everything that is stored about a person, and erase it.",
    {
        "exportPerson": Wording(
            "Export what is stored",
            "Answers everything that is stored about the person with an email, a customer ID, a visitor ID or a token. With a private key."
            " For visitors linked without proof, it answers only how they were linked. Set `unproven` if they are the person's, too.",
        ),
        "erasePerson": Wording(
            "Erase what is stored",
            "Erases what an export shows. With a private key. Visitors stay if another email or customer ID is linked to them with proof."
            " Visitors linked without proof stay, too. Set `unproven` if they are the person's. Orders stay, without the person. A"
            " repeated call answers zeros. `dry_run` changes nothing.",
        ),
        "listRemovals": Wording(
            "List removed visitors",
            "Answers the visitors of the last 30 days that had a record or a link and were then withdrawn or erased, oldest first, as"
            " digests. Systems that hold copies delete them (GDPR, article 19). Keep `next`, and send it as `cursor` of the next call. With"
            " a private key.",
        ),
    },
)
AUDIT = Topic(
    "Audit",
    "Read who looked at persons, and who acted for them.",
    {
        "listAccesses": Wording(
            "Read who looked at a person",
            "Answers the newest 20 accesses to what is stored about the person with an email, a customer ID or a visitor ID, by people and"
            " by services: of each actor and act the newest. With a private key. They stay after an erasure, for `audit_days`.",
        ),
        "listAudit": Wording(
            "Read the audit",
            "Answers what people did in the admin pages, and every export, erasure and read of receipts, newest first. With a private key."
            " Look-ups of services are not here, but counted.",
        ),
        "countLookups": Wording("Count look-ups of services", "Answers how many look-ups each key made, by hour. With a private key."),
    },
)
ORDERS = Topic(
    "Orders and reports",
    "Read what was tracked, and why orders are attributed.",
    {
        "listEvents": Wording(
            "Read a visitor's events",
            "Answers the events that were logged for a visitor. With a private key. The list is empty for an unknown visitor."
            " The call counts as a look-up.",
        ),
        "listOrders": Wording(
            "List orders",
            "Answers a page of orders, newest first. With a private key. Send `next` as `cursor` to get the following page.",
        ),
        "readOrder": Wording("Read an order", "Answers one order with its attribution. With a private key."),
        "explainOrder": Wording(
            "Explain an order's attribution",
            "Answers why an order is attributed. If it is not, answers the first missing step of label → click → sale and what to do next."
            " With a private key.",
        ),
        "compareLabels": Wording(
            "Compare labels",
            "Answers clicks, orders and revenue by label, for the last days. With a private key. An order counts under each of its labels."
            " The totals count it once.",
        ),
        "readFigures": Wording(
            "Read figures of days",
            "Answers distinct visitors by mode and the consent rate of each day in UTC. With a private key. Where the shop counts visitors"
            " who said nothing, it answers their figures, too, each with an interval and none below ten.",
        ),
        "listCalls": Wording(
            "Read the log of tracking calls",
            "Answers the tracking calls of the last 24 hours. Each entry names what could not be read. With a private key. The log"
            " contains no personal data.",
        ),
        "listProducts": Wording("List products seen", "Answers the products of clicks and sales. With a private key."),
        "checkTracking": Wording(
            "Check tracking",
            "Answers whether clicks and sales arrive as usual, and why: green, amber, red or not started. With a private key.",
        ),
    },
)
TRACKED: Mapping[str, Wording] = {
    "logSale": Wording(
        "Log a sale",
        "Logs an order once. With either key. A repeated sale ID changes nothing, but the first call with a private key replaces what a"
        " public key reported. The call links the order's email and customer ID to the visitor, and credits the clicks that led to the"
        " order. It is refused only if the sale ID or the products cannot be read, or if a product ID has another type than the shop's."
        " `GET /v1/calls` names what could not be read.",
    ),
    "logSaleShopify": Wording(
        "Log the ID of an order",
        "Logs an order whose products are not known yet, as from a sandboxed checkout pixel. With either key. The first `log/sale` with a"
        " private key and this ID replaces it and adds products and revenue.",
    ),
    "logClick": Wording(
        "Log a click",
        "Logs a click on a product, with the labels of its element. With either key. A click without labels gets the labels of the newest"
        " results that showed the product.",
    ),
    "logEmail": Wording(
        "Link an email",
        "Links an email to the visitor if its consent allows links. With either key. The answer is `ok` even if nothing was linked.",
    ),
    "logResults": Wording(
        "Log what an element showed",
        "Logs the products that an element showed, with its labels. With either key. Clicks without labels are credited to these labels.",
    ),
    "logProduct": Wording("Log a product view", "Logs a view of a product's page. With either key."),
    "logCategory": Wording("Log a category view", "Logs a view of a category's page. With either key."),
    "logSearch": Wording("Log a search", "Logs the search words, without emails. With either key."),
    "logBasketSet": Wording(
        "Log the basket", "Logs what the basket contains now. It may be empty. With either key. An `email` is linked as by `log/email`."
    ),
    "logCartAdd": Wording("Log added products", "Logs products that were added to the cart. With either key."),
    "logCartRemove": Wording("Log removed products", "Logs products that were removed from the cart. With either key."),
    "logCartUpdate": Wording("Log changed products", "Logs products whose quantity in the cart changed. With either key."),
    "logReturned": Wording("Log a return", "Logs a product of an order that was returned. With a private key."),
    "logDebug": Wording(
        "Accept a plugin's debug message", "Adds the call to the log of calls. With either key. The message is not stored."
    ),
    "miscVisitorId": Wording(
        "Read the device's cookieless ID",
        "Answers the cookieless ID of the calling device. Call it with a public key, from the visitor's own device. Otherwise the address"
        " is unknown and the ID is null.",
    ),
    "tokenVerify": Wording(
        "Verify a token", "Answers the visitor of a token. With either key. An invalid token is an error here, unlike under `/v1`."
    ),
    "clientAccountInfo": Wording(
        "Check both keys",
        "Answers `ok` if the public key and the private key belong to the same shop. Plugins call it to test their settings.",
    ),
    "privacyInfo": Wording(
        "Show what is stored",
        "Answers the orders and events of the person with an email, a customer ID or a visitor ID. With a private key. `/v1/exports`"
        " answers more.",
    ),
    "privacyForget": Wording(
        "Erase what is stored",
        "Erases what is stored about the person with an email, a customer ID or a visitor ID. With a private key. `/v1/erasures` also"
        " answers what was erased and what was kept.",
    ),
}
TRACKING = Topic("Tracking (v2)", "Log what visitors do, in the format of Clerk's public API.", TRACKED)
TRACKING_V3 = Topic("Tracking (v3)", "The calls of `/v2` at the addresses of version 3.", TRACKED)
SERVICE = Topic(
    "Service",
    "Monitor the service, and load its documents and scripts. These calls need no key.",
    {
        "checkAlive": Wording("Check the process", "Answers `ok` while the process runs, even if the store cannot be reached."),
        "checkReady": Wording(
            "Check the store",
            "Answers `ok` if at least one shop can be written, and names those that cannot. Otherwise 503 gives the reason.",
        ),
        "readMetrics": Wording("Read metrics", "Answers the metrics of all workers in Prometheus' text format, without personal data."),
        "readDescription": Wording("Read this description", "Answers this document."),
        "readDocs": Wording("Read the documentation", "Answers the manual as HTML."),
        "readSnippet": Wording("Load the browser snippet", "Answers the script for a shop's pages."),
    },
)
SECTIONS = (VISITORS, CONSENT, LINKS, RIGHTS, AUDIT, ORDERS, TRACKING, TRACKING_V3, SERVICE)


def section_of(name: str) -> Topic:
    """The first topic that describes the call of that name. Raises StopIteration if there is none."""
    return next(section for section in SECTIONS if name in section.calls)
