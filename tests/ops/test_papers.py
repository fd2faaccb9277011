"""The papers of a privacy officer: each setting changes its own paragraphs, and what they say of times is what the store does."""

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from msgspec.structs import replace

from identity_service.cli import main
from identity_service.model.cookieless import GRACE, window_at
from identity_service.model.utc import DAY
from identity_service.ops.papers import LISTED, PAPERS, draft_papers
from identity_service.ops.processing import processing_of
from identity_service.settings.load import load
from identity_service.settings.schema import KeySettings, RegionSettings, RetentionSettings, Settings, ShopSettings, secrets_of
from tests.conftest import Clock, Shopper, shopping

TODAY = date(2026, 12, 1)
HEADINGS = """\
0. Overview of the processing
0.1 Controller(s)
0.2 Processor(s) and sub-processor(s)
0.3 Name of the processing
0.4 Planning of the processing
0.5 DPIA technical sheet
1. Systematic description of the processing
1.1.a Processed personal data
1.1.b Purposes of the processing
1.1.c Secondary or compatible uses
1.1.d Nature, scope and context of the processing
1.2 Functional description
1.3 Means of processing, supporting assets and underlying architecture
1.4 Compliance with approved codes of conduct
2. Analysis of the processing
2.1.a Legal basis
2.1.b Reasons to lift the processing prohibition
2.2.a Data minimisation and retention periods
2.2.b Data quality
2.3.a Measures supporting compliance with principles in Article 5(1)(a-f) GDPR
2.3.b Measures supporting the exercise of data subjects' rights
2.3.c Measures supporting compliance with other GDPR requirements
2.3.d Measures supporting data protection by design and by default
2.3.e Measures supporting security of processing
3. Considerations on necessity and proportionality
3.1 Impacts of the processing on the rights and freedoms of data subjects
3.2 Assess the necessity of the processing
3.3 Assess the proportionality of the processing
4. Risk assessment and management
4.1.a Impacts caused by non-default, accidental, unlawful, or abnormal events
4.1.b Method
4.1.c Inherent risk assessment
4.2.a Additional mitigating measures
4.2.b Residual risk assessment
4.2.c Plan
5. Involvement of interested parties
5.1 DPO advice
5.2 Views of data subjects or their representatives
6. Conclusion and decision
To fill in"""
"""Of the EDPB's template, version 1.0 of 10 March 2026, with the letters of its body, and without headings that only group letters."""
KEPT = "dpia 2.2.a, record (f), retention Times"
FLOODS = "dpia 2.3.e, record (g)"
CAPPED = "dpia 1.1.a, record (c), retention Earlier"
KEYS = "dpia 2.3.a, dpia 2.3.e, record (g)"
COOKIE = "dpia 1.1.a, record (c), notice Recognising"
TOLD = "dpia 1.2, dpia 2.3.b, dpia 4.1.a, record (d), retention Outside"
STORE = "dpia 1.2, dpia 1.3, dpia 2.3.e, record (e), record (g)"
NAMED = KeySettings(scopes=["lookup"], last_day="2027-06-30")
STRICT = ("shop.policy", "strict")
FLIPS = [
    ("server.port", 9000, "port 9000", "dpia 1.3", ""),
    ("server.internal_port", 9100, "port 9100", "dpia 1.3, dpia 2.3.e, record (g)", "dpia 4.2.a"),
    ("server.production", True, "production: demo keys", FLOODS, "dpia 4.2.a"),
    ("server.trusted_proxies", ["10.0.0.1"], "header x-forwarded-for", "dpia 1.1.a, record (c)", ""),
    ("server.region_header", "cf-ipcountry", "header cf-ipcountry", "dpia 1.1.a, record (c)", ""),
    ("server.gpc_support_since", "2026-11-21", "since 2026-11-21", "dpia 2.3.b, notice Times", ""),
    ("server.security_contact", "mailto:s@shop.example", "mailto:s@shop.example", FLOODS, "dpia 4.2.a"),
    ("store.url", "rediss://cache.example", "cache.example|y.*: a write is|failover", f"{STORE}, dpia 4.1.a, dpia 4.2.a", ""),
    ("secrets.receipt_keys", [], "Only the service|nobody but the service|Ask us", "dpia 2.3.a, dpia 4.2.a, notice Times", ""),
    ("secrets.former_peppers", ["old"], "under 2 peppers", FLOODS, ""),
    ("limits.enabled", False, "not\\*\\* limited|not limited|stopped", f"{FLOODS}, dpia 4.1.a, dpia 4.2.a", KEPT),
    ("limits.client_per_second", 51, "at most 51 calls", FLOODS, ""),
    ("limits.key_per_second", 5_200, "5,200 with one key", FLOODS, ""),
    ("limits.lookups_per_second", 53, "53 look-ups|53 a second", f"{FLOODS}, dpia 4.1.a", ""),
    ("limits.wrong_keys_per_minute", 54, "54 wrong keys", FLOODS, ""),
    ("limits.visitors_per_handle", 77, "77 visitors", CAPPED, ""),
    ("limits.emails_per_visitor", 7, "7 emails", CAPPED, ""),
    ("limits.events_per_visitor", 78, "newest 78|78 events", CAPPED, ""),
    ("limits.orders_per_shop", 79_000, "79,000", CAPPED, ""),
    ("retention.consent_days", 200, "200 days", f"{KEPT}, dpia 1.1.d, dpia 3.1, notice Recognising", ""),
    ("retention.refusal_days", 90, "for 90 days", f"{KEPT}, dpia 2.3.b, notice Times", ""),
    ("retention.gone_days", 500, "500 days", f"{KEPT}, dpia 1.2", ""),
    ("retention.receipt_days", 600, "600 days", f"{KEPT}, dpia 2.3.a, notice Times", ""),
    ("retention.sale_days", 700, "700 days", f"{KEPT}, notice Times", ""),
    ("retention.audit_days", 300, "300 days", KEPT, ""),
    ("shop.roles", {"desk": "support"}, "group `desk` as support", "dpia 2.2.a, record (d)", ""),
    ("shop.private_keys", [], "No private keys|: 0 of 0|none may", f"{KEYS}, dpia 4.1.a", "dpia 2.2.a, dpia 4.2.a, record (d)"),
    ("shop.keys", {"crm": NAMED}, "`crm`.*lookup.*2027-06-30|1 of 2", f"{KEYS}, dpia 2.2.a, record (d)", ""),
    ("shop.removals_key", "x" * 43, "/v1/removals|removals key|30 days", f"{KEPT}, {TOLD}", "dpia 4.2.a"),
    ("shop.origins", ["https://other.example"], "https://other.example", "dpia 1.2, dpia 2.3.e, record (c), record (g)", ""),
    ("shop.window_days", 7, "7 days", f"{KEPT}, {COOKIE}, dpia 2.3.d, dpia 3.1, dpia 4.2.a", ""),
    ("shop.continuity", "fresh", "does not count for|next visit.$", "dpia 1.1.d, notice Recognising", "dpia 4.2.a"),
    ("shop.accept_unsigned", False, "without a signature are refused|needs a signature", "dpia 1.2, dpia 4.1.a", "dpia 4.2.a"),
    ("shop.product_id_type", "integer", "than integer", "dpia 2.2.b", ""),
    ("shop.attribution_days", 14, "14 days", "dpia 1.1.b, dpia 1.2, notice Recognising, record (b)", ""),
    ("shop.link_overrides", True, "typed into an address", "dpia 1.2, dpia 4.2.a", ""),
    ("shop.never_link", ["kasse@", "walk-in"], "2 values", "dpia 1.1.a, record (c)", ""),
    ("shop.cookie_name", "__Host-other", "`__Host-other`", f"{KEPT}, {COOKIE}", ""),
    ("shop.cookie_domain", "shop.example", "under shop.example|several hosts|__Secure-", f"{KEPT}, {COOKIE}, dpia 0.5, dpia 4.2.a", ""),
    ("shop.tcf_purposes", (1, 7), "1 and 7", "dpia 2.3.c", ""),
    ("shop.tcf_vendor", 999, "vendor 999", "dpia 2.3.c", ""),
    ("shop.banner_cookies", ["cookiebot"], "cookiebot", "dpia 1.2", ""),
    ("shop.banner_categories", {"klaro": ["visitor-id"]}, "klaro has to grant visitor-id", "dpia 2.3.c", ""),
    ("shop.consent_version", "v4", "version `?v4", "dpia 2.3.c, retention Earlier", "dpia 4.2.a"),
    ("shop.notice", "https://shop.example/privacy", "https://shop.example/privacy", "dpia 2.3.a", "dpia 4.2.a"),
]  # fmt: skip
"""A setting and its other value; what every new line of the papers says; sections with such lines; sections that only lose lines."""
UNSAID = {"public_keys", "currency", "policy", "consent_version_since", "regions", "measurement"}
"""Settings of a shop that no paper states, and those with tests of their own."""


def changed(settings: Settings, *changes: tuple[str, Any]) -> Settings:
    """`changes`: of settings by name. Those of `shop` are the demo shop's."""
    for name, value in changes:
        section, _, key = name.partition(".")
        if section == "shop":
            settings = replace(settings, shops={**settings.shops, "demo": replace(settings.shops["demo"], **{key: value})})
        else:
            settings = replace(settings, **{section: replace(getattr(settings, section), **{key: value})})
    return settings


@pytest.fixture(scope="module")
def plain() -> Settings:
    return load("development", {})


def papers(settings: Settings) -> dict[str, str]:
    return draft_papers(settings, "demo", TODAY)


def sections(texts: Mapping[str, str]) -> dict[str, list[str]]:
    """The lines of all papers by paper and first word of the heading. The numbers of what is to be filled in are left out."""
    found: dict[str, list[str]] = {}
    for paper, text in texts.items():
        for part in re.split("^#+ ", re.sub(r"FILL IN \d+", "FILL IN", text), flags=re.MULTILINE)[1:]:
            heading, *lines = filter(None, part.splitlines())
            if heading != LISTED:
                found[f"{paper} {heading.split()[0]}"] = lines
    return found


def new_lines(before: Settings, after: Settings) -> tuple[dict[str, list[str]], set[str]]:
    """New lines by section, and the sections that only lose lines."""
    old, new = sections(papers(before)), sections(papers(after))
    assert old.keys() == new.keys()
    came = {section: [line for line in new[section] if line not in old[section]] for section in new}
    lost = {section for section in new if not came[section] and old[section] != new[section]}
    return {section: lines for section, lines in came.items() if lines}, lost


@pytest.mark.parametrize(("name", "value", "says", "where", "loses"), FLIPS, ids=[one[0] for one in FLIPS])
def test_a_setting_changes_its_own_paragraphs_and_no_others(
    plain: Settings, name: str, value: Any, says: str, where: str, loses: str
) -> None:
    came, lost = new_lines(plain, changed(plain, (name, value)))
    assert set(came) == set(where.split(", "))
    assert lost == set(filter(None, loses.split(", ")))
    assert [line for lines in came.values() for line in lines if not re.search(says, line)] == []


def test_a_setting_that_depends_on_another_changes_nothing_without_it(plain: Settings) -> None:
    strict, remote = changed(plain, STRICT), changed(plain, ("store.url", "redis://cache.example"))
    proxied, versioned = changed(plain, ("server.trusted_proxies", ["::1"])), changed(plain, ("shop.consent_version", "4"))
    france = {"FR": RegionSettings(no_signal="cookieless", reason="exempt")}
    header, since = ("server.client_address_header", "x-real-ip"), ("shop.consent_version_since", "2026-11-01T00:00:00Z")
    for before, flip, where in (
        (plain, header, ""),
        (proxied, header, "dpia 1.1.a, record (c)"),
        (plain, since, ""),
        (versioned, since, "dpia 2.3.c, retention Earlier"),
        (plain, ("shop.regions", france), ""),
        (strict, ("shop.regions", france), "dpia 1.1.d, dpia 2.1.a, dpia 4.2.a, notice Recognising"),
        (strict, ("shop.continuity", "fresh"), ""),
        (strict, ("shop.measurement", "exempt"), KEPT),
        (remote, ("store.replicas", 2), "dpia 1.3, dpia 2.3.e, dpia 4.1.a, record (g)"),
        (remote, ("store.url", "rediss://cache.example"), STORE),
    ):
        assert set(new_lines(before, changed(before, flip))[0]) == set(filter(None, where.split(", "))), flip


def test_the_papers_consider_every_setting_of_a_shop_and_of_retention() -> None:
    flipped = {one[0] for one in FLIPS}
    assert len(flipped) == len(FLIPS) > 30
    wanted = {f"retention.{field.name}" for field in msgspec.structs.fields(RetentionSettings)}
    wanted |= {f"shop.{field.name}" for field in msgspec.structs.fields(ShopSettings) if field.name not in UNSAID}
    assert wanted <= flipped


def test_the_policy_changes_what_a_visitor_gets_and_what_has_to_be_justified(plain: Settings) -> None:
    strict = changed(plain, STRICT)
    came, _ = new_lines(plain, strict)
    assert "| **britain**: GB, UK | a cookieless ID | no ID | no ID | 2026-12-01 |" in came["dpia 1.1.d"]
    assert any("FILL IN: these regions" in line and "britain, us-signal-states" in line for line in came["notice Recognising"])
    assert "unknown, europe and consent-first" in papers(plain)["dpia"]
    assert "why that is lawful" in papers(plain)["dpia"]
    assert "why that is lawful" not in papers(strict)["dpia"]
    assert {one.setting for one in processing_of(plain, "demo", TODAY).open_points} >= {"policy", "continuity", "private_keys"}
    assert "policy" not in {one.setting for one in processing_of(strict, "demo", TODAY).open_points}


def test_a_shops_own_regions_are_rows_with_their_reasons(plain: Settings) -> None:
    """Also a code that the table does not name, in any case; and text that would break the table."""
    own = {
        "FR": RegionSettings(no_signal="cookieless", reason="exempt | <b>\nassessed", revised="2026-11-02"),
        "xk": RegionSettings(no_signal="null"),
        "britain": RegionSettings(no_signal="null", reason="by caution"),
    }
    lines = sections(papers(changed(plain, STRICT, ("shop.regions", own))))["dpia 1.1.d"]
    assert "| **FR** (your choice: exempt \\| &lt;b> assessed) | a cookieless ID | no ID | no ID | 2026-11-02 |" in lines
    assert "| **XK** (your choice) | no ID | no ID | a cookieless ID | not dated |" in lines
    assert "| **britain**: GB, UK (your choice: by caution) | no ID | no ID | no ID | not dated |" in lines
    [europe] = [line for line in lines if line.startswith("| **europe**")]
    assert " FR," not in europe
    everywhere = {name: RegionSettings(no_signal="null") for name in ("britain", "us-signal-states", "us", "canada", "elsewhere")}
    notice = papers(changed(plain, STRICT, ("shop.regions", everywhere)))["notice"]
    assert "We do not recognise you before you agree." in notice
    assert "depends on where you are" not in notice


def test_a_dpia_has_the_headings_of_the_template(plain: Settings) -> None:
    found = re.findall("^##+ (.*)$", papers(plain)["dpia"], re.MULTILINE)
    assert found == HEADINGS.splitlines()


def test_what_is_to_be_filled_in_is_numbered_and_listed_at_the_end(plain: Settings) -> None:
    for text in papers(plain).values():
        body, _, listed = text.partition(f"## {LISTED}\n\n")
        marks = re.findall(r"\*\*\[FILL IN (\d+): (.*?)\]\*\*", body)
        rows = re.findall(r"^(\d+)\. [^:]+: (.*)$", listed, re.MULTILINE)
        assert marks == rows
        assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
        assert len(rows) == text.count("[FILL IN") > 2


def test_no_paper_names_a_secret(plain: Settings) -> None:
    planted = "planted" * 7
    named = {"crm": KeySettings(sha256=f"{planted}-named", scopes=["lookup"])}
    shop = [(f"shop.{name}", f"{planted}-{name}") for name in ("removals_key",)] + [("shop.keys", named)]
    keys = [(f"shop.{name}", [f"{planted}-{name}"]) for name in ("public_keys", "private_keys")]
    peppers = [("secrets.pepper", f"{planted}-p"), ("secrets.former_peppers", [f"{planted}-f"]), ("secrets.signing_keys", [f"{planted}-s"])]
    receipts = [("secrets.receipt_keys", ["2026-01-01:" + "plantedplantedplantedplantedplantedplantedp"])]
    store = [("store.url", f"redis://user:{planted}@cache.example:6379")]
    settings = changed(plain, *shop, *keys, *peppers, *receipts, *store)
    assert {name for name, _ in (*shop, *keys)} >= {f"shop.{name}" for name in secrets_of(ShopSettings)}
    assert {name for name, _ in (*peppers, *receipts)} == {f"secrets.{name}" for name in secrets_of(type(plain.secrets))}
    assert "planted" in str(msgspec.to_builtins(settings))
    assert "planted" not in "".join(papers(settings).values())
    assert "redis://cache.example:6379" in papers(settings)["record"]


LIVES = {
    "V:[^:]+|E:.*": "Record of a visitor who granted, and its links to emails and customer IDs",
    "V:[^:]+:events": "Events of a visitor who granted",
    "V:[^:]+:gone": "Mark of a withdrawn or erased visitor",
    "R:.*": "Receipt of a choice",
    "S:.*|V:[^:]+:sales|orders": "Order, and its places in the lists of visitor and email",
    "audit:.*|A:.*": "Entry of the audit: a digest of the person, and the name of the key or the member of staff who looked or acted",
    "removals": "Digest of a removed visitor, for systems that hold copies",
    "calls": "Log of tracking calls, without IDs",
    "hour:.*|day:.*|products|latest": "Hourly figures, labels and products of the shop, without IDs",
}
"""Keys of a shop, and the row about them. Those of a cookieless visitor have the end of its window instead."""


def times(text: str) -> dict[str, list[int]]:
    """The seconds that the table of retention says, by the first cell of the row."""
    units = {"day": DAY, "minute": 60}
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", text, re.MULTILINE)
    told = {what: re.findall("([0-9,]+) (day|minute)s?", period) for what, period in rows}
    return {what: [int(number.replace(",", "")) * units[unit] for number, unit in found] for what, found in told.items()}


async def live(shopper: Shopper) -> list[str]:
    """One visitor grants and withdraws, one grants, one has no choice; the last two are linked and click. Returns the cookies that were
    set."""
    cookies = []
    for number, consent in enumerate(("granted", "granted", "unknown")):
        client = {"ip": f"198.51.100.{number}", "user_agent": "Mozilla/5.0 (X11) Gecko/20100101 Firefox/140.0"}
        answer = await shopper.post("/v1/consents", {"client": client, "consent": consent})
        token = answer.json()["token"]
        cookies += answer.headers.get_list("set-cookie")
        if number == 0:
            cookies += (await shopper.post("/v1/consents", {"token": token, "consent": "refused"})).headers.get_list("set-cookie")
            continue
        await shopper.post("/v2/log/click", {"visitor": token, "product": 1})
        await shopper.post("/v2/log/email", {"visitor": token, "email": f"visitor-{number}@example.com"})
    await shopper.post("/v2/log/sale", {"visitor": token, "sale": 7, "products": [{"id": 1}]})
    await shopper.post("/v1/exports", {"email": "visitor-1@example.com"})
    await shopper.application.services.counters.write()
    return cookies


@pytest.mark.anyio
async def test_the_times_in_the_papers_are_those_of_the_store(environment: dict[str, str], database: redis.Redis, clock: Clock) -> None:
    wanted = {
        "CONSENT_DAYS": "123",
        "REFUSAL_DAYS": "45",
        "GONE_DAYS": "456",
        "RECEIPT_DAYS": "234",
        "SALE_DAYS": "567",
        "AUDIT_DAYS": "78",
    }
    chosen = {f"IDENTITY_RETENTION__{name}": value for name, value in wanted.items()}
    chosen |= {"IDENTITY_SHOPS__DEMO__WINDOW_DAYS": "3", "IDENTITY_SHOPS__DEMO__REMOVALS_KEY": "x" * 43}
    settings = load("development", environment | chosen)
    async with shopping(settings, clock) as shopper:
        cookies = await live(shopper)
    said = times(papers(settings)["retention"])
    lives = {str(key).removeprefix("id:v2:{demo}:"): int(database.ttl(str(key))) for key in database.scan_iter("id:v2:{demo}:*")}
    del lives["rewrite"]  # a note for the server's files, about nobody
    until_midnight = DAY - int(clock()) % DAY
    of_the_day = [lives.pop(key) for key in list(lives) if re.fullmatch("sketch:.*|Z:.*:day|remainders:.*", key)]
    assert {life - until_midnight for life in of_the_day} == set(said["Salt of a day, and what counts its distinct visitors under it"])
    found = {(row, lives.pop(key)) for pattern, row in LIVES.items() for key in list(lives) if re.fullmatch(pattern, key)}
    window_ends = window_at(int(clock()), 3).end + GRACE - int(clock())
    assert {one for one in found if one[1] != window_ends} == {(row, sum(said[row])) for row in LIVES.values()}
    assert {row.split()[0] for row, life in found if life == window_ends} == {"Record", "Events"}
    assert list(lives.values()) == [window_ends]  # the salt
    assert said["Events and links of a cookieless visitor"] == said["Salt from which cookieless IDs are derived"] == [3 * DAY, GRACE]
    ages = {name: int(age) for cookie in cookies for name, age in re.findall(r"^([\w-]+)=[^;]+; Max-Age=(\d+)", cookie)}
    told = {row.split("`")[1]: lasts for row, lasts in said.items() if row.startswith("Cookie")}
    assert told == {"__Host-visitor": [ages["__Host-visitor"]], "__Host-visitor-choice": [ages["__Host-visitor-choice"], 45 * DAY]}


def test_the_command_prints_the_papers_or_writes_them_and_never_over_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["papers", "--shop", "strict"], lambda: TODAY) == 0
    printed = capsys.readouterr().out
    assert re.findall("^# .*: strict$", printed, re.MULTILINE) == re.findall("^# .*$", printed, re.MULTILINE)
    assert main(["papers", "made"], lambda: TODAY) == 0
    written = capsys.readouterr().out.split()
    assert written == [f"made/{shop}/{paper}.md" for shop in load("development", {}).shops for paper in PAPERS]
    assert "".join(f"{Path(f'made/strict/{paper}.md').read_text()}\n" for paper in PAPERS) == printed
    Path("made/demo/dpia.md").write_text("filled in")
    assert main(["papers", "made"], lambda: TODAY) == 2
    assert "made/demo/dpia.md exists, and may be filled in" in capsys.readouterr().err
    assert Path("made/demo/dpia.md").read_text() == "filled in"
    assert main(["papers", "--shop", "nowhere"], lambda: TODAY) == 2
    assert "--shop nowhere: the settings have no such shop" in capsys.readouterr().err
    Path("file").touch()
    assert main(["papers", "file/below"], lambda: TODAY) == 1
    assert "the papers cannot be written" in capsys.readouterr().err
