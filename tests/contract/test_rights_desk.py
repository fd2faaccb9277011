"""The rights desk: what is held, what an erasure takes and leaves and why, the export, and the certificate."""

import csv
import io
import re
from collections.abc import AsyncIterator

import pytest

from identity_service.app import Application
from identity_service.model.shop import key_digest
from identity_service.settings.load import load
from tests.conftest import Clock, Shopper
from tests.contract.desk import Desk, desk_of, filled, log, text_of

pytestmark = pytest.mark.anyio
LUKE, LEIA = "luke@skywalker.com", "leia@organa.com"


@pytest.fixture
async def desk(application: Application) -> AsyncIterator[Desk]:
    async with desk_of(application) as found:
        await found.sign_in()
        yield found


async def mixed(shopper: Shopper) -> str:
    """A person with a proven visitor, one shared with another person, and one that anybody linked; returns the first."""
    visitor = await filled(shopper)
    await shopper.post("/v1/links", {"email": LUKE, "visitor": "shared-1"})
    await shopper.post("/v1/links", {"email": LEIA, "visitor": "shared-1"})
    await log(shopper, "email", email=LUKE, visitor="somebodys")
    await log(shopper, "search", query="theirs", visitor="somebodys")
    return visitor


async def test_a_request_shows_each_visitor_with_its_proof_and_what_happens_to_it(desk: Desk, shopper: Shopper) -> None:
    visitor = await mixed(shopper)
    shown = text_of(await desk.post("rights", email=LUKE))
    assert "3 visitors are linked to it, 1 of them without proof." in shown
    assert f"{visitor} Copy Open goes token proven persistent 2026-11-18 11:06 by sale 3 1 1" in shown
    assert re.search(r"shared-1 Copy Open link only key shared also email \S{22} , proof key Its request", shown)
    assert "somebodys Copy Open link only none without proof cookieless" in shown
    assert "somebodys : linked 2026-11-18 11:06 by email" in shown


async def test_a_request_is_one_entry_of_the_audit(desk: Desk, shopper: Shopper) -> None:
    """Also where its page shows an erasure with and without unproven visitors."""
    await mixed(shopper)
    assert "Proven only" in text_of(await desk.post("rights", email=LUKE))
    answer = await shopper.client.get("/v1/audit?act=erasure_preview", headers={"authorization": "Bearer demo-private-key"})
    assert [(one["person"], one["found"]) for one in answer.json()["entries"]] == [(True, 1)]


async def test_the_others_of_a_shared_visitor_have_requests_of_their_own(desk: Desk, shopper: Shopper) -> None:
    await mixed(shopper)
    page = await desk.post("rights", email=LUKE)
    [other] = re.findall(r'href="(rights\?ref=[^"]+)"', page.text)
    assert "shared-1 Copy Open link only key shared" in text_of(await desk.get(other))


@pytest.mark.parametrize("unproven", [False, True])
async def test_an_erasure_does_what_the_request_showed_and_certifies_it(desk: Desk, shopper: Shopper, unproven: bool) -> None:
    await mixed(shopper)
    before = text_of(await desk.post("rights", email=LUKE))
    shown = {
        name: dict(zip((False, True), map(int, numbers), strict=True))
        for name, *numbers in re.findall(r"([A-Z][a-z]+) (\d+) (\d+) ", before)
    }
    answer = await desk.post("erasure", 303, email=LUKE, confirmation=LUKE, **({"unproven": "on"} if unproven else {}))
    where = answer.headers["location"]
    done = (await desk.get(f"{where}&as=json")).json()
    assert done["reference"] == answer.headers["x-request-id"]
    assert (done["time"], done["shop"], done["erased_by"]) == ("2026-11-18T11:06:40Z", "demo", f"key {key_digest('demo-private-key')[:12]}")
    assert (done["what"], done["unproven_included"]) == ("email", unproven)
    for name in ("visitors", "links", "events", "orders"):
        assert done[name] == shown[name.capitalize()][unproven], name
    assert (done["kept_shared"], done["kept_unproven"], done["receipts_kept"]) == (1, int(not unproven), 1)
    certificate = text_of(await desk.get(where))
    assert f"Reference {done['reference']}" in certificate
    assert text_of(await desk.get(where)) == certificate
    assert LUKE not in certificate
    left = (await shopper.post("/v1/events", {"visitor": "somebodys"})).json()["events"]
    assert (left == []) == unproven


async def test_an_erasure_is_signed_with_the_name_of_its_key(environment: dict[str, str], clock: Clock) -> None:
    members = {"SHA256": key_digest("officer-key"), "SCOPES": "admin"}
    keys = {f"IDENTITY_SHOPS__DEMO__KEYS__OFFICER__{name}": text for name, text in members.items()}
    settings = load("development", environment | keys)
    application = Application(settings, clock)
    async with desk_of(application) as desk:
        await desk.sign_in("officer-key")
        assert "Erased by key officer" in text_of(await desk.post("erasure", email=LUKE, confirmation=LUKE))
    await application.services.store.client.close()


async def test_an_export_by_its_address_is_the_call_s_in_both_forms(desk: Desk, shopper: Shopper) -> None:
    visitor = await mixed(shopper)
    page = await desk.post("rights", email=LUKE)
    [ref] = set(re.findall(r'name="ref" value="([^"]+)"', page.text))
    told = (await shopper.post("/v1/exports", {"email": LUKE})).json()
    assert (await desk.post("export", ref=ref)).json() == told
    whole = (await shopper.post("/v1/exports", {"email": LUKE, "unproven": True})).json()
    assert (await desk.post("export", ref=ref, unproven="on", **{"as": "json"})).json() == whole
    answer = await desk.post("export", ref=ref, **{"as": "csv"})
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert answer.headers["content-disposition"] == 'attachment; filename="export.csv"'
    assert [visitor, "event", "2026-11-18T11:06:40Z", "text", "red shoes"] in rows
    assert [visitor, "order", "2026-11-18T11:06:40Z", "sale", "S-1"] in rows
    assert ["", "link without proof", "", "source", "email"] in rows
    [receipt] = next(one for one in told["visitors"] if one["visitor"] == visitor)["receipts"]
    assert [visitor, "receipt", receipt["time"], "receipt_id", receipt["receipt_id"]] in rows
    assert "somebodys" not in answer.text


async def test_a_request_about_nobody_says_so_and_certifies_zeros(desk: Desk) -> None:
    shown = text_of(await desk.post("rights", email="nobody@example.org"))
    assert "0 visitors are linked to it. Nothing is held." in shown
    assert "0 visitors, 0 links and 0 events were erased" in text_of(
        await desk.post("erasure", email="nobody@example.org", confirmation="nobody@example.org")
    )


async def test_a_wrong_confirmation_of_an_address_erases_nothing(desk: Desk, shopper: Shopper) -> None:
    await filled(shopper)
    [ref] = set(re.findall(r'name="ref" value="([^"]+)"', (await desk.post("rights", email=LUKE)).text))
    for typed in ("", LEIA, ref):
        assert "so nothing was erased" in text_of(await desk.post("erasure", 422, ref=ref, confirmation=typed))
    assert len(await shopper.visitors(email=LUKE)) == 1
    await desk.post("erasure", ref=ref, confirmation=LUKE.upper())
    assert await shopper.visitors(email=LUKE) == []
