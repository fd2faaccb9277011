"""Where people report a vulnerability."""

from datetime import UTC, datetime, timedelta

import pytest

from identity_service.errors import SettingsError
from identity_service.ops.check import sound_settings
from identity_service.settings.load import load
from tests.conftest import Clock, Shopper, shopping

pytestmark = pytest.mark.anyio
PATH = "/.well-known/security.txt"
CONTACT = {"IDENTITY_SERVER__SECURITY_CONTACT": "mailto:security@shop.example", "IDENTITY_SERVER__SECURITY_LANGUAGES": "de,en"}


async def test_nothing_is_published_without_a_contact(shopper: Shopper) -> None:
    assert (await shopper.client.get(PATH)).status_code == 404


@pytest.mark.parametrize("days", [1, 364])
async def test_the_text_has_the_fields_of_rfc_9116_and_never_expires_while_it_is_served(
    environment: dict[str, str], clock: Clock, days: int
) -> None:
    settings = load("development", environment | CONTACT | {"IDENTITY_SERVER__SECURITY_DAYS": str(days)})
    async with shopping(settings, clock) as edge:
        for _ in range(3):
            answer = await edge.client.get(PATH)
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
            fields = dict(line.split(": ", 1) for line in answer.text.splitlines())
            assert list(fields) == ["Contact", "Expires", "Preferred-Languages"]
            assert (fields["Contact"], fields["Preferred-Languages"]) == ("mailto:security@shop.example", "de, en")
            ahead = datetime.fromisoformat(fields["Expires"]) - datetime.fromtimestamp(clock(), UTC)
            assert timedelta(days - 1) < ahead <= timedelta(days)
            clock.forward(400 * 86_400)


async def test_without_a_language_none_is_preferred(environment: dict[str, str], clock: Clock) -> None:
    async with shopping(load("development", environment | CONTACT | {"IDENTITY_SERVER__SECURITY_LANGUAGES": "[]"}), clock) as edge:
        assert "Preferred-Languages" not in (await edge.client.get(PATH)).text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECURITY_CONTACT", "security@shop.example"),
        ("SECURITY_CONTACT", "http://shop.example/security"),
        ("SECURITY_CONTACT", "mailto:a@shop.example\nCanonical: https://other.example"),
        ("SECURITY_DAYS", "365"),
        ("SECURITY_LANGUAGES", "english please"),
    ],
)
def test_what_the_rfc_does_not_allow_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        sound_settings("development", {f"IDENTITY_SERVER__{name}": value})
    assert [fault for fault in refused.value.faults if f"server.{name.lower()}" in fault]
