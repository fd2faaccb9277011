"""The stored form of a sale: what earlier versions wrote is read, and a new field changes none of it."""

import pytest

from identity_service.store.sales import packed, unpacked

EARLIER = '1795000000\n\n\n\n1\n\n\nn\n7.5\n\n\nno_visitor\n\n[[5,3,"2.5"]]\nS\n1'
FIELDS = {"time": "1795000000", "verified": "1", "mode": "none", "revenue": "7.5", "missing": "no_visitor", "products": '[[5,3,"2.5"]]'}


def test_a_sale_of_an_earlier_version_has_no_channel() -> None:
    assert unpacked(EARLIER) == FIELDS | {"sale": "S\n1"}
    assert packed(FIELDS | {"sale": "S\n1"}) == EARLIER


@pytest.mark.parametrize("channel", ["agent:chatgpt.com", "bot"])
def test_a_channel_is_kept_with_the_mode(channel: str) -> None:
    fields = FIELDS | {"sale": "S-2", "mode": "null", "channel": channel}
    assert unpacked(packed(fields)) == fields
