"""A shop's server with the client that openapi-python-client generates: a visitor comes, grants, gives its email and is looked up.

It runs by itself: `python use.py URL` prints what it was answered.
"""

import json
import sys

from visitor_identity_client import AuthenticatedClient
from visitor_identity_client.api.consent import report_consent
from visitor_identity_client.api.links_and_look_ups import link_visitor, look_up
from visitor_identity_client.api.tracking_v_2 import log_sale
from visitor_identity_client.api.visitors import issue_visitor
from visitor_identity_client.models import (
    Choice,
    Client,
    ConsentAnswer,
    ConsentObject,
    ConsentsBody,
    IdentityAnswer,
    IssueBody,
    LinkAnswer,
    LinkBody,
    LookupAnswer,
    LookupBody,
    Problem,
    ProductLine,
    Purposes,
    SaleBody,
    TrackingAnswer,
)

EMAIL = "luke@skywalker.com"


def main(url: str) -> dict[str, object]:
    visitor = Client(ip="198.51.100.9", user_agent="Mozilla/5.0")
    with AuthenticatedClient(base_url=url, token="demo-private-key", raise_on_unexpected_status=True) as client:
        issued = issue_visitor.sync(client=client, body=IssueBody(client=visitor))
        assert isinstance(issued, IdentityAnswer)
        granted = ConsentObject(purposes=Purposes(storage=Choice.GRANTED, measurement=Choice.GRANTED))
        consented = report_consent.sync(client=client, body=ConsentsBody(consent=granted, client=visitor))
        assert isinstance(consented, ConsentAnswer)
        assert consented.receipt is not None
        assert consented.expires_at is not None
        linked = link_visitor.sync(client=client, body=LinkBody(email=EMAIL, token=consented.token))
        assert isinstance(linked, LinkAnswer)
        sold = log_sale.sync(
            client=client, body=SaleBody(sale="1001", products=[ProductLine(id=12793, price=99.95)], visitor=consented.token)
        )
        assert isinstance(sold, TrackingAnswer)
        found = look_up.sync(client=client, body=LookupBody(email=EMAIL))
        assert isinstance(found, LookupAnswer)
        assert isinstance(found.visitors, list)
        refused = look_up.sync(client=client, body=LookupBody(email="no email"))
        assert isinstance(refused, Problem)
    return {
        "issued": [issued.mode, issued.decision.reason],
        "consented": [consented.mode, consented.receipt.purposes["storage"], consented.expires_at.year > 2000],
        "linked": [linked.linked, linked.visitor == consented.visitor, linked.proof],
        "sold": sold.status,
        "found": [[one.visitor == consented.visitor, one.mode, one.first_seen.tzinfo is not None] for one in found.visitors],
        "refused": [refused.status, refused.code],
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
