"""What each call does, which key it needs, and what its answer means, in the order of /openapi.json. The names are those of the route
table."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wording:
    """`summary`: the call in a few words. `text`: one fact per sentence."""

    summary: str
    text: str


@dataclass(frozen=True, slots=True)
class Topic:
    """A tag of the description, the purpose of its calls, and their wording by name."""

    tag: str
    meaning: str
    calls: Mapping[str, Wording]


ABOUT = """\
Issues, signs and keeps visitor IDs of webshops, decided on the server from consent, and links them to emails.

**Keys.** Browsers may show a public key. A private key is for servers; never put it into the URL of a `/v1` call. Send a key as
`Authorization: Bearer KEY`, or as the member `key` of the body.

**Calls.** Bodies and answers are JSON. Times are RFC 3339 in UTC. Under `/v1`, a body with an undescribed member is refused with 422,
except in `consent`, `client` and banners' events, and beside a readable refusal of consent. Under `/v2` and `/v3`, such members are
ignored. Unknown names in a query are always ignored. Every call is safe to repeat.

**Answers.** Every answer has `X-Request-Id`. Answers of calls are `Cache-Control: private, no-store`. Errors of `/v1` are
`application/problem+json`; those of `/v2` and `/v3` have the format of Clerk's API."""

SAME_AS_V2 = "The same call as under `/v2`."
BY_QUERY = (
    "The members are a query. `products` is JSON text, or nested as `products[0][id]`. `labels` may be repeated, be named `labels[]`, or be"
    " JSON text. With `callback` the answer is a script that calls it, always with status 200."
)

VISITORS = Topic(
    "Visitors",
    "Issue a visitor's ID and verify its token.",
    {
        "issueVisitor": Wording(
            "Issue a visitor ID",
            "Decides the visitor's mode from its consent, and answers its ID, new or known. With a public key, it is about the calling"
            " device; with a private key, describe the visitor in `client`. Consent is state here: only a dated choice overrides an earlier"
            " refusal. A refusal is always accepted. Robots and agents get no ID. Pass every `Set-Cookie` on to the visitor's browser.",
        ),
        "verifyToken": Wording(
            "Verify a token",
            "Checks whether a token belongs to this shop and its ID is alive, and answers the ID. With either key. An invalid token is an"
            " answer, not an error.",
        ),
    },
)
CONSENT = Topic(
    "Consent",
    "Report a visitor's choice, prove it, and preview what it decides.",
    {
        "reportConsent": Wording(
            "Report a consent choice",
            "Stores the visitor's choice of now. With either key; a page of the shop may call it itself. A grant gives a persistent ID and"
            " sets its cookie. A refusal withdraws: the visitor's record, links and cookie are removed within the call. The answer is the"
            " visitor's ID afterwards, with a signed receipt.",
        ),
        "reportBannerConsent": Wording(
            "Report a banner's event",
            "Reads a consent banner's event as its own JSON, or the banner's cookies as members by name, in addition to the members below."
            " With either key. An undecided, unreadable or stale event is no choice: it grants nothing and erases nothing. The answer is"
            " that of `/v1/consents`.",
        ),
        "listReceipts": Wording(
            "Prove consent",
            "Answers the receipts of a visitor, newest first, the one in force at a moment, or one by its ID. With a private key. An"
            " unknown, erased or withdrawn visitor has none. No receipt contains the visitor's ID itself.",
        ),
        "verifyReceipt": Wording(
            "Verify a receipt",
            "Checks whether the service signed exactly this receipt for this shop, with a key that it still has. With a private key. The"
            " receipt may have expired.",
        ),
        "previewDecision": Wording(
            "Preview a decision",
            "Answers the decision for a call with this body, with every fact that it depends on. With a private key. It changes nothing,"
            " and can decide under another policy.",
        ),
    },
)
LINKS = Topic(
    "Links and look-ups",
    "Link visitors to emails and customer IDs, and look them up.",
    {
        "linkVisitor": Wording(
            "Link an email or customer ID",
            "Links the visitor to an email or a customer ID. With a public key, send the visitor's token; a private key may send its ID."
            " The `proof` decides about the person's rights. 409 for a visitor that has withdrawn, has no ID or refused links. 422 for a"
            " placeholder like `null`.",
        ),
        "unlinkVisitor": Wording(
            "Unlink an email or customer ID",
            "Removes a link, whoever made it. With a private key. It is not a withdrawal: the visitor keeps its ID.",
        ),
        "lookUp": Wording(
            "Look up visitor IDs",
            "Answers the visitors of an email, of its SHA-256, of a customer ID, or of up to 5,000 emails at once; by `visitor`, that"
            " visitor with the digests of its emails. With a private key, in `Authorization` for bodies over 32 KiB. The list is empty if"
            " nothing is known. An invalid email in `emails` gets an error in its own result.",
        ),
    },
)
RIGHTS = Topic(
    "Rights",
    "Show a person everything that is held, and erase it.",
    {
        "exportPerson": Wording(
            "Export what is held",
            "Answers everything that is held of the person behind an email, a customer ID, a visitor or a token. With a private key. Of"
            " visitors linked without proof only how they were linked is shown, unless `unproven` says that they are the person's.",
        ),
        "erasePerson": Wording(
            "Erase what is held",
            "Erases what an export shows. With a private key. Visitors that another email or customer ID holds by proof stay, and those"
            " linked without proof, unless `unproven` says that they are the person's. Orders stay without the person. Done again, it"
            " answers zeros. `dry_run` changes nothing.",
        ),
    },
)
ORDERS = Topic(
    "Orders and reports",
    "Read what was tracked, and why orders are attributed.",
    {
        "listEvents": Wording(
            "Read a visitor's events",
            "Answers what was logged under a visitor. With a private key. An unknown visitor has none.",
        ),
        "listOrders": Wording(
            "List orders",
            "Answers orders page by page, newest first. With a private key. `next` is the `cursor` of the following page.",
        ),
        "readOrder": Wording("Read an order", "Answers one order with its attribution. With a private key."),
        "explainOrder": Wording(
            "Explain an order's attribution",
            "Answers why an order is attributed, or the first missing link of the chain label → click → sale, with what to do. With a"
            " private key.",
        ),
        "compareLabels": Wording(
            "Compare labels",
            "Answers clicks, orders and revenue by label over the last days. With a private key. An order counts under each of its labels;"
            " the totals count it once.",
        ),
        "listCalls": Wording(
            "Read the log of tracking calls",
            "Answers the tracking calls of the last 24 hours, with what could not be read of each. With a private key. It holds nothing"
            " personal.",
        ),
        "listProducts": Wording("List products seen", "Answers the products that clicks and sales named. With a private key."),
        "checkTracking": Wording(
            "Check tracking",
            "Answers whether clicks and sales come as usual: green, amber or red, or not started, and why. With a private key.",
        ),
    },
)
TRACKED: Mapping[str, Wording] = {
    "logSale": Wording(
        "Log a sale",
        "Logs an order once: a sale ID that is known changes nothing, but the first call of a private key replaces what a public one"
        " said. It links the order's email and customer ID to the visitor and credits the clicks that led to it. It is refused only"
        " without a sale ID or products that can be read, and for a product ID of another type than the shop's. `GET /v1/calls` names"
        " what could not be read.",
    ),
    "logSaleShopify": Wording(
        "Log the ID of an order",
        "Logs an order of which a sandboxed checkout pixel knows only the ID. With either key. The first `log/sale` of a private key with"
        " this ID replaces it, and tells products and revenue.",
    ),
    "logClick": Wording(
        "Log a click",
        "Logs a click on a product with the labels of its element. With either key. Without labels it takes those of the newest results"
        " that showed the product.",
    ),
    "logEmail": Wording(
        "Link an email",
        "Links an email to the visitor where its consent allows it. With either key. It answers `ok` also where nothing was linked.",
    ),
    "logResults": Wording(
        "Log what an element showed",
        "Logs the products that an element showed under its labels. With either key. Clicks without labels are traced to it.",
    ),
    "logProduct": Wording("Log a product seen", "Logs a view of a product's page. With either key."),
    "logCategory": Wording("Log a category seen", "Logs a view of a category's page. With either key."),
    "logSearch": Wording("Log a search", "Logs the words that were searched, without emails. With either key."),
    "logBasketSet": Wording(
        "Log the basket", "Logs what the basket holds now; it may be empty. With either key. Its `email` links as by `log/email`."
    ),
    "logCartAdd": Wording("Log products added", "Logs products that were put into the cart. With either key."),
    "logCartRemove": Wording("Log products removed", "Logs products that were taken out of the cart. With either key."),
    "logCartUpdate": Wording("Log products changed", "Logs products whose number in the cart was changed. With either key."),
    "logReturned": Wording("Log a return", "Logs a product of an order that was sent back. With a private key."),
    "logDebug": Wording(
        "Take a plugin's debug message", "Counts the call in the log of calls. With either key. Nothing of the message is kept."
    ),
    "miscVisitorId": Wording(
        "Read the device's cookieless ID",
        "Answers the cookieless ID of the device that calls. With a public key, from the visitor's own device: else its address is unknown"
        " and the ID null.",
    ),
    "tokenVerify": Wording(
        "Verify a token", "Answers whose token it is. With either key. A token that is not valid is an error, unlike under `/v1`."
    ),
    "clientAccountInfo": Wording(
        "Check both keys",
        "Answers ok where the public key and the private key are those of one shop. Plugins ask it to test their settings.",
    ),
    "privacyInfo": Wording(
        "Show what is held",
        "Answers the orders and events of the person behind an email, a customer ID or a visitor. With a private key. `/v1/exports` shows"
        " more.",
    ),
    "privacyForget": Wording(
        "Erase what is held",
        "Erases what is held of the person behind an email, a customer ID or a visitor. With a private key. `/v1/erasures` answers what"
        " went and what stayed.",
    ),
}
TRACKING = Topic("Tracking (v2)", "Log what visitors do, in the wire format of Clerk's public API.", TRACKED)
TRACKING_V3 = Topic("Tracking (v3)", "The calls of `/v2` at the addresses of version 3.", TRACKED)
SERVICE = Topic(
    "Service",
    "Watch the service, and load what it serves to browsers and programs. No key is needed.",
    {
        "checkAlive": Wording("Check the process", "Answers `ok` while the process runs, whatever the store does."),
        "checkReady": Wording(
            "Check the store", "Answers `ok` while a shop can be written, and names those that cannot; 503 says why none can."
        ),
        "readMetrics": Wording("Read metrics", "Answers the counters of all workers in Prometheus' text format. They name nobody."),
        "readDescription": Wording("Read this description", "Answers this document."),
        "readDocs": Wording("Read the documentation", "Answers a page for people."),
        "readSnippet": Wording("Load the browser snippet", "Answers the script that a shop's pages load."),
    },
)
SECTIONS = (VISITORS, CONSENT, LINKS, RIGHTS, ORDERS, TRACKING, TRACKING_V3, SERVICE)


def section_of(name: str) -> Topic:
    """The first that words a call of that name. Raises StopIteration for none."""
    return next(section for section in SECTIONS if name in section.calls)
