"""Checks whether settings fit together, before a start. `settings.load` has already checked the type of each."""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from identity_service.errors import Invalid, SettingsError
from identity_service.model.agent_key import origin_of
from identity_service.model.handle import NeverLinked
from identity_service.model.receipt_key import read_keys
from identity_service.model.regions import PLACE, looser_choices, region_table
from identity_service.model.shop import NO_ORIGIN, is_loopback, written_digest
from identity_service.server.addresses import parse_networks
from identity_service.settings.layers import Fault
from identity_service.settings.load import read
from identity_service.settings.schema import DEMO_KEY, AgentSettings, Settings, ShopSettings
from identity_service.settings.store_url import EMBEDDED, check_options, parse_address
from identity_service.settings.toml_file import Name
from identity_service.signals.answers import millis
from identity_service.signals.banners import BANNERS
from identity_service.signals.reader import COOKIE_SOURCES

DEVELOPMENT_MARK = "development-only"
SIGN_OUT = re.compile(r"(?:https://[a-z0-9.-]+(:[0-9]{1,5})?)?/[!-~]*")
SHA256 = re.compile(r"[0-9a-f]{64}")
PRIVATE_KEY_DIGEST = re.compile(rf"sha256:{SHA256.pattern}")
HEADER_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
CONTACT = re.compile(r"(mailto:[!-~]+@|https://|tel:)[!-~]+")
LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
COOKIE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|http://\[::1\](:[0-9]{1,5})?")
HOST = re.compile(r"[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?")
PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")
SHOP_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
KEY_BYTES = 32
PRODUCTION = ("server", "production")
Wrong = tuple[str, str]
"""The key of a shop's setting, and what is wrong with it."""


def sound_settings(named: str, environment: Mapping[str, str], flags: Mapping[str, str] = {}) -> Settings:
    """Arguments as for `settings.load.read`. Raises SettingsError with every fault, of single settings and of their combination."""
    found = read(named, environment, flags)
    if lines := found.lines(faults(found.settings)):
        raise SettingsError(lines)
    return found.settings


def faults(settings: Settings) -> list[Fault]:
    found = _server_faults(settings) + _secret_faults(settings) + _agent_faults(settings.agents)
    for name in ("sale_body_bytes", "lookup_body_bytes"):
        if getattr(settings.limits, name) < settings.limits.body_bytes:
            found.append(Fault(("limits", name), "must be at least limits.body_bytes", (("limits", "body_bytes"),)))
    if settings.retention.gone_days < settings.retention.consent_days:
        text = "must be at least retention.consent_days, or a withdrawn token would work again"
        found.append(Fault(("retention", "gone_days"), text, (("retention", "consent_days"),)))
    if not settings.shops:
        found.append(Fault(("shops",), "no shop is set; add a section [shops.NAME] with public_keys and private_keys"))
    seen: dict[str, str] = {}
    for name, shop in settings.shops.items():
        found += _shop_faults(name, shop, settings.server.production)
        for key in (*map(written_digest, (*shop.public_keys, *shop.private_keys)), *(one.sha256 for one in shop.keys.values())):
            if key in seen:
                text = f"a key is used twice (also in {seen[key]}); use each key in one list of one shop"
                found.append(Fault(("shops", name), text))
            seen[key] = f"shops.{name}"
    return found


def receipt_key_notes(settings: Settings, today: date) -> list[str]:
    """What keeps receipts from being signed for everybody, and which keys are no longer needed."""
    keys, name = read_keys(settings.secrets.receipt_keys), "secrets.receipt_keys"
    if not keys:
        return [f"{name} is empty, so nobody else can verify a receipt; add a key that `identity-service keys new` prints"]
    found = []
    if not any(key.signs_on(today) for key in keys):
        last = keys[-1]
        when = f"ended on {last.ends}" if last.ends and last.ends <= today else f"starts on {last.starts}"
        found.append(f"{name}: no key signs today (the last one {when}), so nobody else can verify a receipt; add a key for today")
    kept = timedelta(settings.retention.receipt_days)
    useless = [key.starts for key in keys if key.ends and key.ends + kept < today]
    return found + [f"{name}: the key of {day} signed no receipt that is still kept; remove it if you want" for day in useless]


def _server_faults(settings: Settings) -> list[Fault]:
    server, name = settings.server, ("server", "trusted_proxies")
    found = _proxy_faults(name, server.trusted_proxies)
    if server.internal_port == server.port:
        found.append(Fault(("server", "internal_port"), "is server.port too; choose another port, or 0 for none", (("server", "port"),)))
    demo = settings.shops.get("demo")
    if server.demo and (server.production or demo is None or "demo-public-key" not in demo.public_keys):
        text = "the demo shop runs only with the demo keys of the development configuration; set false, or use those keys"
        found.append(Fault(("server", "demo"), text, (PRODUCTION,)))
    if not server.production and not is_loopback(server.host) and _is_public_knowledge(settings):
        text = (
            f"other machines can reach {server.host}, and the keys of the development settings are public; make your own settings "
            "with `identity-service init DIR` and name them with --config, or listen on 127.0.0.1"
        )
        found.append(Fault(("server", "host"), text, (PRODUCTION,)))
    if server.gpc_support_since and not _is_day(server.gpc_support_since):
        found.append(Fault(("server", "gpc_support_since"), "must be a day like 2026-11-21, or empty"))
    if server.security_contact and not CONTACT.fullmatch(server.security_contact):
        found.append(Fault(("server", "security_contact"), "must begin with mailto:, https:// or tel:, without spaces, or be empty"))
    if not all(map(LANGUAGE.fullmatch, server.security_languages)):
        found.append(Fault(("server", "security_languages"), "must be language codes like en or pt-BR"))
    if not HEADER_NAME.fullmatch(server.client_address_header):
        found.append(Fault(("server", "client_address_header"), "must be the name of one header, like x-forwarded-for"))
    if server.region_header and not server.trusted_proxies:
        text = "is read from your own proxies only; name them in server.trusted_proxies"
        found.append(Fault(("server", "region_header"), text, (name,)))
    return found + _staff_faults(settings) + _store_faults(settings.store.url)


def _staff_faults(settings: Settings) -> list[Fault]:
    staff, name = settings.staff, ("staff", "proxies")
    found = _proxy_faults(name, staff.proxies)
    for header in ("user_header", "groups_header"):
        if bool(staff.proxies) != bool(getattr(staff, header)):
            found.append(Fault(("staff", header), "goes with staff.proxies; set both, or neither", (name,)))
        elif staff.proxies and not HEADER_NAME.fullmatch(getattr(staff, header)):
            found.append(Fault(("staff", header), "must be the name of one header, like remote-user"))
    if staff.sign_out_address and not SIGN_OUT.fullmatch(staff.sign_out_address):
        found.append(Fault(("staff", "sign_out_address"), "must be a path like /oauth2/sign_out, or an https address"))
    for shop, one in settings.shops.items():
        if one.roles and not staff.proxies:
            found.append(Fault(("shops", shop, "roles"), "needs the proxy that names people's groups; set [staff]", (name,)))
        text = "can match nobody: proxies separate groups by commas, so give the group a name without one"
        found += [Fault(("shops", shop, "roles", group), text) for group in one.roles if "," in group]
    return found


def _agent_faults(agents: AgentSettings) -> list[Fault]:
    found = [
        Fault(("agents", "directories"), f"{text!r} is not an origin like https://chatgpt.com; leave out the path")
        for text in agents.directories
        if origin_of(text) is None
    ]
    if agents.directories and not agents.keys_file:
        found.append(Fault(("agents", "keys_file"), "must name a file for the keys of agents.directories", (("agents", "directories"),)))
    found += [
        Fault(("agents", "hosts"), f"{text!r} is not a host like id.shop.example, in small letters")
        for text in agents.hosts
        if not HOST.fullmatch(text)
    ]
    if agents.removed_prefix and not PREFIX.fullmatch(agents.removed_prefix):
        found.append(Fault(("agents", "removed_prefix"), "must be the beginning of a path, like /id, without a slash at its end"))
    return found


def _store_faults(url: str) -> list[Fault]:
    try:
        if not re.fullmatch(f"{EMBEDDED}.+", url, re.DOTALL):
            parse_address(url)
            check_options(url)
    except ValueError as error:
        return [Fault(("store", "url"), str(error))]
    return []


def _is_public_knowledge(settings: Settings) -> bool:
    secrets = [*settings.secrets.signing_keys, *settings.secrets.peppers]
    keys = [key for shop in settings.shops.values() for key in (*shop.public_keys, *shop.private_keys)]
    return any(DEVELOPMENT_MARK in secret for secret in (*secrets, *settings.secrets.receipt_keys)) or any(map(DEMO_KEY.fullmatch, keys))


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _proxy_faults(name: Name, proxies: Iterable[str]) -> list[Fault]:
    return [
        Fault(name, f"{text!r} is neither an address like 10.0.0.7 nor a network like 10.0.0.0/8; host names are not supported")
        for text in proxies
        if not _is_network(text)
    ]


def _is_network(text: str) -> bool:
    try:
        parse_networks([text])
    except ValueError:
        return False
    return True


def _secret_faults(settings: Settings) -> list[Fault]:
    found = []
    secrets = settings.secrets
    if not secrets.signing_keys:
        found.append(Fault(("secrets", "signing_keys"), "needs at least one key; make one with `identity-service keys new`"))
    for name, value in (
        *((f"signing_keys[{i}]", key) for i, key in enumerate(secrets.signing_keys)),
        ("pepper", secrets.pepper),
        *((f"former_peppers[{i}]", pepper) for i, pepper in enumerate(secrets.former_peppers)),
    ):
        if _decoded_size(value) < KEY_BYTES:
            text = f"needs at least {KEY_BYTES} random bytes in base64url; make one with `identity-service keys new`"
            found.append(Fault(("secrets", name), text))
        elif settings.server.production and value.startswith(DEVELOPMENT_MARK):
            text = "is the public development key; make your own with `identity-service keys new`"
            found.append(Fault(("secrets", name), text, (PRODUCTION,)))
    every = [*secrets.signing_keys, *secrets.peppers]
    if len(set(every)) < len(every):
        found.append(Fault(("secrets",), "every signing key and every pepper must differ"))
    return found + _receipt_key_faults(settings)


def _receipt_key_faults(settings: Settings) -> list[Fault]:
    name, texts = ("secrets", "receipt_keys"), settings.secrets.receipt_keys
    try:
        read_keys(texts)
    except ValueError as error:
        return [Fault(name, f"{error}; make one with `identity-service keys new`")]
    if settings.server.production and any(DEVELOPMENT_MARK in text for text in texts):
        return [Fault(name, "has the public development key; make your own with `identity-service keys new`", (PRODUCTION,))]
    return []


def _shop_faults(name: str, shop: ShopSettings, production: bool) -> list[Fault]:
    at = ("shops", name)
    found = []
    if not SHOP_ID.fullmatch(name):
        found.append(Fault((*at, "name"), "a shop's name must be 1 to 32 of a-z 0-9 _ - and begin with a letter or digit"))
    if not shop.public_keys:
        found.append(Fault((*at, "public_keys"), "needs at least one key"))
    if production:
        found += [Fault((*at, key), text, (PRODUCTION,)) for key, text in _production_faults(shop)]
    found += [
        Fault((*at, "origins"), f"{origin!r} is not an origin like https://shop.example{_without_path(origin)}")
        for origin in shop.origins
        if origin != NO_ORIGIN and not ORIGIN.fullmatch(origin)
    ]
    if shop.removals_key and _decoded_size(shop.removals_key) < KEY_BYTES:
        text = f"needs at least {KEY_BYTES} random bytes in base64url; make some with `openssl rand -base64 32 | tr +/ -_`"
        found.append(Fault((*at, "removals_key"), text))
    further = (
        *key_faults(shop),
        *_measurement_faults(shop),
        *_never_link_faults(shop),
        *_banner_faults(shop),
        *_region_faults(shop),
        *_cookie_faults(shop),
    )
    return found + [Fault((*at, *key.split(".")), text) for key, text in further]


def _without_path(origin: str) -> str:
    found = ORIGIN.match(origin)
    return f"; write {found[0]}" if found else ""


def key_faults(shop: ShopSettings) -> list[Wrong]:
    found = []
    for name, key in shop.keys.items():
        if not SHOP_ID.fullmatch(name):
            found.append((f"keys.{name}", "a key's name must be 1 to 32 of a-z 0-9 _ - and begin with a letter or digit"))
        if not SHA256.fullmatch(key.sha256):
            found.append((f"keys.{name}.sha256", "must be the key's SHA-256 in hex; `identity-service keys new --name NAME` prints it"))
        if not key.scopes:
            found.append((f"keys.{name}.scopes", "needs at least one scope, or the key may do nothing"))
        if key.last_day and not _is_day(key.last_day):
            found.append((f"keys.{name}.last_day", "must be a day like 2027-06-30, or empty"))
    return found


def _measurement_faults(shop: ShopSettings) -> list[Wrong]:
    if shop.measurement == "none" or shop.policy == "strict":
        return []
    text = f"counts visitors without an ID, whom the policy {shop.policy} does not have; set policy to strict, or this to none"
    return [("measurement", text)]


def _never_link_faults(shop: ShopSettings) -> list[Wrong]:
    for text in shop.never_link:
        try:
            NeverLinked([text])
        except Invalid:
            return [("never_link", f"{text!r} is neither an email, nor its part up to the @, nor a customer ID")]
    return []


def _banner_faults(shop: ShopSettings) -> list[Wrong]:
    known = ", ".join(sorted(COOKIE_SOURCES))
    found = [("banner_cookies", f"{name!r} is none of {known}") for name in shop.banner_cookies if name not in COOKIE_SOURCES]
    found += [(f"banner_categories.{name}", f"is none of {known}") for name in shop.banner_categories if name not in BANNERS]
    since = shop.consent_version_since
    if since and millis(since) is None:
        found.append(("consent_version_since", "must be a time in RFC 3339 with an offset, like 2026-12-01T00:00:00Z"))
    if since and not shop.consent_version:
        found.append(("consent_version_since", "says since when consent_version is shown; set consent_version too"))
    return found


def _region_faults(shop: ShopSettings) -> list[Wrong]:
    rows = region_table()
    text = "is neither an ISO 3166 code nor a row of strict.toml"
    found = [(f"regions.{code}", text) for code in shop.regions if not _is_region(code, rows)]
    days = {code: change.revised for code, change in shop.regions.items() if change.revised}
    found += [(f"regions.{code}.revised", "must be a day like 2026-11-21, or empty") for code, day in days.items() if not _is_day(day)]
    for choice in looser_choices(shop.regions):
        code = choice.partition(".")[0]
        if not shop.regions[code].reason.strip():
            found.append((f"regions.{code}.reason", f"{choice} is looser than the shipped rule; write the reason, for the receipts"))
    return found


def _is_region(code: str, rows: Iterable[str]) -> bool:
    return code in rows or re.fullmatch(PLACE, code.upper()) is not None


def _production_faults(shop: ShopSettings) -> list[Wrong]:
    found = []
    if any(DEMO_KEY.fullmatch(key) for key in (*shop.public_keys, *shop.private_keys)):
        text = "demo keys are public; make new ones with `identity-service keys new`"
        found.append(("public_keys, private_keys", text))
    if any(len(key) < 16 for key in shop.public_keys):
        found.append(("public_keys", "needs at least 16 characters each"))
    if any(not PRIVATE_KEY_DIGEST.fullmatch(key) for key in shop.private_keys):
        text = "write sha256:HEX of each key instead of the key; `identity-service keys new` prints it"
        found.append(("private_keys", text))
    plain = [origin for origin in shop.origins if origin.startswith("http://")]
    advice = "must be https in production; on localhost, use the shipped settings with `--config development`"
    return found + [("origins", f"{origin!r} {advice}") for origin in plain]


def _cookie_faults(shop: ShopSettings) -> list[Wrong]:
    if not COOKIE_NAME.fullmatch(shop.cookie_name):
        return [("cookie_name", "must be 1 to 64 of A-Z a-z 0-9 _ -")]
    if shop.cookie_domain and not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", shop.cookie_domain):
        return [("cookie_domain", "must be a host name like shop.example, without a dot in front")]
    wanted = "__Secure-" if shop.cookie_domain else "__Host-"
    if not shop.cookie_name.startswith(wanted):
        return [("cookie_name", f"must begin with {wanted} {'with' if shop.cookie_domain else 'without'} a cookie_domain")]
    return []


def _decoded_size(text: str) -> int:
    try:
        return len(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        return 0
