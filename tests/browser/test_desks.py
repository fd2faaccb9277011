"""The desks in a real browser: how many actions a day's questions take, and how every page looks, wide and narrow.

Each page is pictured into `build/screenshots`.
"""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.axe import axe_source, findings
from tests.browser.conftest import fresh_profile
from tests.browser.test_admin import CONFIRMATION, Admin, base_of, tracked
from tests.test_command import Service

PICTURES = Path(__file__).parent.parent.parent / "build" / "screenshots"
SIZES: dict[str, dict[str, Any]] = {
    "wide": {"viewport": {"width": 1280, "height": 900}},
    "narrow": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}
MORE = pytest.mark.thorough
TOO_WIDE = """[...document.querySelectorAll('body *')].filter(one => !one.closest('.scrolls, .unseen, .skip') && one.checkVisibility())
    .filter(one => one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 120))"""


@pytest.fixture
def seen(service: Service) -> dict[str, str]:
    return tracked(service)


@pytest.fixture
def admin(browser: Browser, service: Service) -> Admin:
    profile = fresh_profile(browser)
    profile.grant_permissions(["clipboard-read", "clipboard-write"])
    admin = Admin(profile, base_of(service))
    admin.sign_in()
    return admin


def test_a_support_question_takes_three_actions(admin: Admin, seen: dict[str, str]) -> None:
    """Which ID has this email, what did it do, and give it to me."""
    page = admin.page
    admin.open("customers")
    expect(page.get_by_label("Email", exact=True)).to_be_focused()
    page.keyboard.type(seen["email"])
    page.keyboard.press("Enter")
    page.get_by_text(f"Activity of {seen['visitor']}").click()
    activity = page.locator(".activity")
    expect(activity).to_contain_text("basket")
    expect(activity).to_contain_text(seen["sale"])
    page.get_by_role("button", name=f"Copy {seen['visitor']}").click()
    expect(page.locator("#said")).to_have_text(f"Copied {seen['visitor']}")
    assert page.evaluate("navigator.clipboard.readText()") == seen["visitor"]
    admin.whole()


def test_results_survive_back_and_reload_and_end_with_the_session(admin: Admin, seen: dict[str, str]) -> None:
    page = admin.page
    admin.send("customers", "Look up", Email=seen["email"])
    results, cell = page.url, page.get_by_role("cell", name=seen["visitor"])
    expect(cell).to_be_visible()
    assert seen["email"].partition("@")[0] not in results
    page.get_by_role("link", name=f"Open visitor {seen['visitor']}").click()
    expect(page.get_by_role("heading", level=2).first).to_contain_text(seen["visitor"])
    assert seen["visitor"] not in page.url
    page.go_back()
    expect(cell).to_be_visible()
    page.reload()
    expect(cell).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    admin.sign_in()
    page.goto(results)
    expect(page.get_by_role("alert")).to_contain_text("This address has ended")
    expect(cell).to_have_count(0)
    admin.whole()


def test_an_id_is_selected_by_one_click_and_copied_by_keyboard_alone(admin: Admin, seen: dict[str, str]) -> None:
    page = admin.page
    admin.send("customers", "Look up", Email=seen["email"])
    page.locator("td code").first.click()
    assert page.evaluate("getSelection().toString()") == seen["visitor"]
    page.evaluate("navigator.clipboard.writeText('')")
    admin.enter("Copy")
    expect(page.locator("#said")).to_have_text(f"Copied {seen['visitor']}")
    assert page.evaluate("navigator.clipboard.readText()") == seen["visitor"]


def test_visitors_orders_and_products_lead_to_each_other(admin: Admin, seen: dict[str, str]) -> None:
    page = admin.page
    admin.send("customers", "Look up", Email=seen["email"])
    page.get_by_role("button", name="Orders", exact=True).click()
    page.get_by_role("link", name=seen["sale"]).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Order {seen['sale']}")
    page.get_by_role("link", name="__proto__").first.click()
    expect(page.get_by_label("Product ID")).to_have_value("__proto__")
    page.get_by_role("link", name=f"Open visitor {seen['visitor']}").click()
    page.get_by_role("link", name=seen["sale"]).click()
    page.get_by_role("link", name="Visitors of").first.click()
    expect(page.get_by_role("cell", name=seen["visitor"])).to_be_visible()
    admin.whole()


def test_an_erasure_takes_five_actions_from_the_email_to_the_certificate(admin: Admin, service: Service) -> None:
    page, email = admin.page, "leia@organa.com"
    token = service.call("/v1/consents", {"consent": "granted"})[1]["token"]
    assert service.call("/v1/links", {"email": email, "token": token})[0] == 200
    page.get_by_role("link", name="Rights").click()
    expect(page.get_by_label("Email", exact=True)).to_be_focused()
    page.keyboard.type(email)
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="What an erasure takes and leaves")).to_contain_text("Visitors")
    page.get_by_label(CONFIRMATION).fill(email)
    page.get_by_role("button", name="Erase").click()
    certificate = page.locator(".certificate")
    expect(certificate).to_contain_text("1 visitor, 1 link")
    assert service.call("/v1/lookups", {"email": email})[1] == {"visitors": []}
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as JSON").click()
    assert saved.value.suggested_filename == "certificate.json"
    page.reload()
    expect(certificate).to_contain_text("1 visitor, 1 link")
    page.emulate_media(media="print")
    expect(certificate).to_be_visible()
    for hidden in (
        page.get_by_role("navigation"),
        page.get_by_role("button", name="Print"),
        page.get_by_role("button", name="Save as JSON"),
    ):
        expect(hidden).to_be_hidden()
    admin.whole()


@pytest.mark.parametrize(
    ("size", "scheme"),
    [("wide", "light"), ("narrow", "dark"), pytest.param("wide", "dark", marks=MORE), pytest.param("narrow", "light", marks=MORE)],
)
def test_every_page_is_within_its_screen_and_axe_finds_nothing(
    browser: Browser, service: Service, seen: dict[str, str], size: str, scheme: Any
) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    axe = axe_source()
    admin = Admin(browser.new_context(**SIZES[size], color_scheme=scheme), base_of(service))
    faults: dict[str, list[str]] = {}

    def look(place: str) -> None:
        name = "".join(letter if letter.isalnum() else "-" for letter in place)[:40]
        admin.page.screenshot(path=PICTURES / f"admin-{name}-{size}-{scheme}.png", full_page=True)
        found = [*admin.page.evaluate(TOO_WIDE), *findings(admin.page, axe)]
        faults.update({place: found} if found else {})

    admin.open("signin?expired=1")
    look("signin")
    admin.sign_in()
    for place in admin.every_page(seen):
        look(place)
    admin.page.goto(f"{admin.base}/receipt")
    look("receipt")
    assert faults == {}
    admin.whole()
