"""Files and documents: each encoding with an entity tag of its own."""

import gzip

import pytest

from tests.conftest import Shopper

pytestmark = pytest.mark.anyio
ASSETS = ("/openapi.json", "/visitor.js", "/admin/static/admin.css")


@pytest.mark.parametrize("path", ASSETS)
async def test_the_encodings_have_different_strong_tags(shopper: Shopper, path: str) -> None:
    plain = await shopper.client.get(path, headers={"accept-encoding": "identity"})
    zipped = await shopper.client.get(path, headers={"accept-encoding": "br, gzip;q=0.5"})
    assert (plain.status_code, zipped.status_code) == (200, 200)
    assert ("content-encoding" in plain.headers, zipped.headers["content-encoding"]) == (False, "gzip")
    assert zipped.headers["etag"] == f'{plain.headers["etag"][:-1]}-gzip"'
    assert plain.content == zipped.content
    assert int(zipped.headers["content-length"]) < len(plain.content)
    for answer in (plain, zipped):
        assert (answer.headers["cache-control"], answer.headers["vary"]) == ("public, max-age=3600", "Accept-Encoding")


@pytest.mark.parametrize("path", ASSETS)
async def test_only_the_tag_of_what_would_be_sent_is_not_modified(shopper: Shopper, path: str) -> None:
    tags = {}
    for coding in ("identity", "gzip"):
        tags[coding] = (await shopper.client.get(path, headers={"accept-encoding": coding})).headers["etag"]
    for coding, other in (("identity", "gzip"), ("gzip", "identity")):
        for wanted, status in (
            (tags[coding], 304),
            (f'"a", W/{tags[coding]}', 304),
            ("*", 304),
            (tags[other], 200),
            (tags[coding].strip('"'), 200),
            ("", 200),
        ):
            answer = await shopper.client.get(path, headers={"accept-encoding": coding, "if-none-match": wanted})
            assert (answer.status_code, answer.headers["etag"]) == (status, tags[coding]), (coding, wanted)
            assert (answer.content == b"") == (status == 304)
            assert ("content-length" in answer.headers) == (status == 200)


@pytest.mark.parametrize("accepted", ["", "identity", "br", "gzip;q=0", "gzip; q=0.000", "gzipped", "gzip;q"])
async def test_who_takes_no_gzip_gets_none(shopper: Shopper, accepted: str) -> None:
    answer = await shopper.client.get("/openapi.json", headers={"accept-encoding": accepted})
    assert "content-encoding" not in answer.headers


async def test_the_description_is_sent_as_it_is_or_compressed(shopper: Shopper) -> None:
    async with shopper.client.stream("GET", "/openapi.json", headers={"accept-encoding": "gzip"}) as answer:
        raw = b"".join([part async for part in answer.aiter_raw()])
    assert len(raw) < 48_000
    assert gzip.decompress(raw) == (await shopper.client.get("/openapi.json", headers={"accept-encoding": "identity"})).content
