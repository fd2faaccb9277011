"""The shop's staff: who may see which page, people whom a proxy signed in, and sessions that end for good."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager

import httpx2 as httpx
import pytest

from identity_service.app import Application
from identity_service.errors import SettingsError
from identity_service.model.shop import ShopId
from identity_service.model.staff import Role
from identity_service.ops.check import sound_settings
from identity_service.settings.load import load
from identity_service.store.redis.command import read
from identity_service.web.admin.routes import INNER, POSTED, READ, SEEN_BY
from identity_service.web.admin.sessions import COOKIE
from tests.conftest import Clock, Shopper
from tests.contract.desk import HOST, OWN, TOKEN, Desk, filled, text_of

pytestmark = pytest.mark.anyio
DEMO = ShopId("demo")
PROXY, STRANGER = "192.0.2.10", "203.0.113.7"
GROUPS = {role: f"shop-{role}" for role in Role}
STAFF = {
    "IDENTITY_STAFF__PROXIES": PROXY,
    "IDENTITY_STAFF__USER_HEADER": "Remote-User",
    "IDENTITY_STAFF__GROUPS_HEADER": "Remote-Groups",
}
PAGES = [("GET", name) for name in (*READ, *INNER, "sessions")] + [("POST", name) for name in (*POSTED, "sessions", "signout")]


def roles_of(shop: str) -> dict[str, str]:
    return {f"IDENTITY_SHOPS__{shop.upper()}__ROLES__{group}": role.value for role, group in GROUPS.items()}


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return environment | STAFF | roles_of("demo") | {"IDENTITY_SHOPS__OTHER__ROLES__shop-support": "support"}


@contextmanager
def client_of(application: Application, peer: str = PROXY, **headers: str) -> Iterator[Desk]:
    transport = httpx.ASGITransport(application, client=(peer, 4711))
    yield Desk(httpx.AsyncClient(transport=transport, base_url=f"https://{HOST}", headers=headers))


@pytest.fixture
async def desks(application: Application) -> AsyncIterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


async def signed_in(desks: ExitStack, application: Application, role: Role, name: str = "anna", shop: str = "demo") -> Desk:
    desk = desks.enter_context(client_of(application, **{"remote-user": name, "remote-groups": f"all,{GROUPS[role]}"}))
    answer = await desk.client.post("/admin/signin", data={"shop": shop}, headers=OWN)
    assert answer.status_code == 303, answer.text
    desk.token = TOKEN.findall((await desk.get("overview")).text)[0]
    return desk


@pytest.mark.parametrize("role", Role)
async def test_each_role_sees_its_pages_and_no_other(desks: ExitStack, application: Application, role: Role) -> None:
    desk = await signed_in(desks, application, role)
    menu = re.findall(r'<li><a href="(\w+)"', (await desk.get("overview")).text)
    assert menu == [name for name, seen_by in SEEN_BY.items() if role in seen_by and name in {*READ, "sessions"}]
    for method, name in PAGES[:-1]:
        form = {"form_token": desk.token, "email": "luke@skywalker.com"}
        answer = await desk.client.request(method, f"/admin/{name}", data=form if method == "POST" else None, headers=OWN)
        assert (answer.status_code == 403) == (role not in SEEN_BY[name]), (name, answer.text)
        assert ("Your role does not include this page" in answer.text) == (role not in SEEN_BY[name])
    stream = await desk.client.get("/admin/logs/stream") if role not in SEEN_BY["logs"] else None
    assert stream is None or stream.status_code == 401


LEADS = re.compile(r'href="(\w+)(?:\?[^"]*)?"')


@pytest.mark.parametrize("role", Role)
async def test_pages_lead_to_no_page_that_the_role_may_not_open(
    desks: ExitStack, application: Application, shopper: Shopper, role: Role
) -> None:
    visitor = await filled(shopper)
    owner, desk = await signed_in(desks, application, Role.OWNER), await signed_in(desks, application, role, "bert")
    for found in (owner, desk):
        pages = [name for name in READ if role in SEEN_BY[name]] + ["keys", "orders?sale=S-1"]
        forms = {"customers": {"email": "luke@skywalker.com"}, "orders": {"email": "luke@skywalker.com"}, "visitors": {"visitor": visitor}}
        for name, form in forms.items():
            if found is owner or role in SEEN_BY[name]:
                pages.append((await found.post(name, 303, **form)).headers["location"])
        led = {name for page in pages for name in LEADS.findall((await found.client.get(f"/admin/{page}")).text) if name in SEEN_BY}
        assert led <= {name for name, seen_by in SEEN_BY.items() if found is owner or role in seen_by}
    assert "rights" in LEADS.findall((await owner.post("visitors", visitor=visitor)).text.partition("<main")[2])


async def test_roles_do_what_the_manual_says() -> None:
    told = {role: {name for name, seen_by in SEEN_BY.items() if role in seen_by} for role in Role}
    figures = {"overview", "products", "health", "signout"}
    assert told[Role.ANALYST] == figures
    desks = figures | {"customers", "visitors", "activity", "orders"}
    assert told[Role.SUPPORT] == desks | {"logs"}
    assert told[Role.PRIVACY] == desks | {"rights", "consent", "certificate", "export", "erasure"}
    assert told[Role.OWNER] == set(SEEN_BY)


async def test_a_person_opens_each_shop_in_which_a_group_has_a_role(desks: ExitStack, application: Application) -> None:
    desk = await signed_in(desks, application, Role.SUPPORT)
    shown = text_of(await desk.client.get("/admin/signin"))
    assert "Open demo" in shown
    assert "Open other" in shown
    assert "Open strict" not in shown
    assert "anna (support)" in text_of(await desk.get("overview"))
    before = desk.cookie
    assert (await desk.client.post("/admin/signin", data={"shop": "strict"}, headers=OWN)).status_code == 403
    assert (await desk.client.post("/admin/signin", data={"shop": "other"}, headers=OWN)).status_code == 303
    assert text_of(await desk.get("overview")).count("other anna (support)") == 1
    desk.client.cookies.clear()
    desk.client.cookies.set(COOKIE, before)
    assert (await desk.client.get("/admin/overview")).headers["location"] == "signin?expired=1"


async def test_only_the_proxy_names_people(application: Application) -> None:
    told = {"remote-user": "anna", "remote-groups": GROUPS[Role.OWNER]}
    with client_of(application, STRANGER) as desk:
        for path in ("signin", "overview", "logs/stream"):
            answer = await desk.client.get(f"/admin/{path}", headers=told)
            assert answer.status_code == 403, path
        assert (await desk.client.post("/admin/signin", data={"shop": "demo"}, headers=OWN | told)).status_code == 403
        groups_alone = await desk.client.get("/admin/signin", headers={"remote-groups": GROUPS[Role.OWNER]})
        assert groups_alone.status_code == 403
        assert (await desk.sign_in()).status_code == 303  # a key works for everybody


@pytest.mark.parametrize(
    "told",
    [
        [("remote-user", "anna"), ("remote-user", "owner"), ("remote-groups", "shop-support")],
        [("remote-user", "anna"), ("remote-groups", "shop-support"), ("remote-groups", "shop-owner")],
        [("remote-user", ""), ("remote-groups", "shop-owner")],
        [("remote-user", "a" * 129), ("remote-groups", "shop-owner")],
        [("remote-groups", "shop-owner")],
        [("remote-user", "key 1d65b5c99867"), ("remote-groups", "shop-owner")],
    ],
)
async def test_headers_that_a_browser_may_have_added_are_refused(application: Application, told: list[tuple[str, str]]) -> None:
    with client_of(application) as desk:
        answer = await desk.client.post("/admin/signin", data={"shop": "demo"}, headers=[*OWN.items(), *told])
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("groups", "status"),
    [("all,shop-owner", 303), ("shop-owner,shop-owner", 303), ("Sales, shop-owner", 403), ("shop-owner ops", 403), ("SHOP-OWNER", 403)],
)
async def test_a_group_counts_by_its_exact_name(application: Application, groups: str, status: int) -> None:
    """As oauth2-proxy and Authelia join them: by commas, without blanks."""
    with client_of(application, **{"remote-user": "anna", "remote-groups": groups}) as desk:
        assert (await desk.client.post("/admin/signin", data={"shop": "demo"}, headers=OWN)).status_code == status


async def test_oauth2_proxy_signs_in_with_all_that_it_sends(environment: dict[str, str], clock: Clock) -> None:
    """Its session of an OpenID provider is in cookies of 4 KB, which it passes on."""
    of_staff = {"IDENTITY_STAFF__USER_HEADER": "x-forwarded-preferred-username", "IDENTITY_STAFF__GROUPS_HEADER": "x-forwarded-groups"}
    sent = {
        "x-forwarded-user": "248289761001",
        "x-forwarded-email": "anna@shop.example",
        "x-forwarded-preferred-username": "anna",
        "x-forwarded-groups": "role:offline_access,shop-owner",
        "x-forwarded-for": "203.0.113.7,192.0.2.1",
        "x-forwarded-host": HOST,
        "cookie": "; ".join(f"_oauth2_proxy_{part}={'x' * 3_900}" for part in range(3)),
    }
    application = Application(load("development", environment | of_staff), clock)
    with client_of(application, **sent) as desk:
        answer = await desk.client.post("/admin/signin", data={"shop": "demo"}, headers=OWN)
        assert answer.status_code == 303
        shown = await desk.client.get(
            "/admin/audit", headers={"cookie": f"{answer.headers['set-cookie'].partition(';')[0]}; {sent['cookie']}"}
        )
    assert "anna (owner)" in text_of(shown)
    await application.services.store.client.close()


async def test_a_session_is_worth_what_the_proxy_says_now(desks: ExitStack, application: Application) -> None:
    desk = await signed_in(desks, application, Role.OWNER)
    await desk.get("audit")
    desk.client.headers["remote-groups"] = GROUPS[Role.ANALYST]
    await desk.get("audit", 403)
    await desk.get("overview")
    desk.client.headers["remote-groups"] = "somebody-else"
    assert (await desk.client.get("/admin/overview")).status_code == 303
    desk.client.headers |= {"remote-groups": GROUPS[Role.OWNER], "remote-user": "bert"}
    assert (await desk.client.get("/admin/overview")).status_code == 303
    for name in ("remote-user", "remote-groups"):
        del desk.client.headers[name]
    assert (await desk.client.get("/admin/overview")).status_code == 303


async def test_a_sign_out_ends_copies_of_the_cookie(desks: ExitStack, application: Application) -> None:
    desk = await signed_in(desks, application, Role.SUPPORT)
    copy = desk.cookie
    assert (await desk.post("signout", 303)).headers["location"] == "signin"
    desk.client.cookies.clear()
    desk.client.cookies.set(COOKIE, copy)
    assert (await desk.client.get("/admin/overview")).status_code == 303
    assert (await desk.client.get("/admin/logs/stream")).status_code == 401


async def test_the_proxys_own_sign_out_follows(environment: dict[str, str], clock: Clock) -> None:
    application = Application(load("development", environment | {"IDENTITY_STAFF__SIGN_OUT_ADDRESS": "/oauth2/sign_out"}), clock)
    with ExitStack() as desks:
        desk = await signed_in(desks, application, Role.SUPPORT)
        assert (await desk.post("signout", 303)).headers["location"] == "/oauth2/sign_out"
    await application.services.store.client.close()


async def test_an_owner_sees_living_sessions_and_ends_one(desks: ExitStack, application: Application, clock: Clock) -> None:
    support = await signed_in(desks, application, Role.SUPPORT, "bert")
    clock.forward(1)
    owner = await signed_in(desks, application, Role.OWNER)
    page = (await owner.get("sessions")).text
    assert re.findall(r'<td data-label="Who">(\w+)</td>', page) == ["anna", "bert"]
    assert "this session" in page
    [session] = re.findall(r'name="session" value="([^"]+)"', page)
    assert "The session has ended" in text_of(await owner.post("sessions", session=session))
    assert (await support.client.get("/admin/overview")).status_code == 303
    assert "had ended already" in text_of(await owner.post("sessions", session=session))
    acts = text_of(await owner.get("audit?act=session_ended"))
    assert acts.count("session ended") == 2  # the entry, and the filter's choice


async def test_a_session_ends_after_eight_hours_and_old_ones_make_room(desks: ExitStack, application: Application, clock: Clock) -> None:
    first = await signed_in(desks, application, Role.OWNER)
    for _ in range(9):
        clock.forward(3_300)
        answer = await first.client.get("/admin/overview")
    assert answer.status_code == 303
    await signed_in(desks, application, Role.OWNER, "bert")
    assert [one.person for one in (await application.services.store.sessions.living(DEMO, int(clock()))).values()] == ["bert"]
    assert len(await application.services.store.client.run(read("HKEYS", application.services.store.keys.sessions(DEMO)))) == 1


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"IDENTITY_STAFF__PROXIES": "proxy.internal"}, "staff.proxies: 'proxy.internal' is neither"),
        ({"IDENTITY_STAFF__USER_HEADER": ""}, "staff.user_header: goes with staff.proxies"),
        ({"IDENTITY_STAFF__PROXIES": ""}, "staff.groups_header: goes with staff.proxies"),
        ({"IDENTITY_STAFF__GROUPS_HEADER": "remote groups"}, "staff.groups_header: must be the name of one header"),
        ({"IDENTITY_STAFF__SIGN_OUT_ADDRESS": "javascript:x"}, "staff.sign_out_address: must be a path"),
        (
            {"IDENTITY_STAFF__PROXIES": "", "IDENTITY_STAFF__USER_HEADER": "", "IDENTITY_STAFF__GROUPS_HEADER": ""},
            "shops.demo.roles: needs",
        ),
        ({"IDENTITY_SHOPS__DEMO__ROLES__ALL": "king"}, "shops.demo.roles.all: must be"),
        ({"IDENTITY_SHOPS__DEMO__ROLES__SALES,EMEA": "owner"}, "can match nobody: proxies separate groups by commas"),
    ],
)
def test_faults_of_the_settings_are_told(change: dict[str, str], fault: str) -> None:
    with pytest.raises(SettingsError) as raised:
        sound_settings("development", STAFF | roles_of("demo") | change)
    assert any(fault in line for line in raised.value.faults), raised.value.faults
