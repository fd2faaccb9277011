"""A live log on a real server: it ends when its worker is told to, so that nobody waits for a browser that was left open."""

import http.client
import json
import urllib.parse
from pathlib import Path

from tests.test_command import served


def test_a_live_log_ends_with_its_worker_and_loses_no_event(tmp_path: Path) -> None:
    with served(tmp_path, IDENTITY_SERVER__DRAIN_SECONDS="600") as service:
        host = urllib.parse.urlsplit(service.url).netloc
        door = http.client.HTTPConnection(host, timeout=30)
        form = urllib.parse.urlencode({"private_key": "demo-private-key"})
        told = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
        door.request("POST", "/admin/signin", form, told)
        entered = door.getresponse()
        cookie = (entered.getheader("set-cookie") or "").partition(";")[0]
        entered.read()
        door.request("GET", "/admin/logs/stream", headers={"cookie": cookie, "sec-fetch-site": "same-origin"})
        stream = door.getresponse()
        assert stream.status == 200
        assert service.call("/v2/log/click", {"product": 12793, "labels": ["Homepage"]})[1] == {"status": "ok"}
        lines = iter(stream.readline, b"")
        assert any(b"Homepage" in line for line in lines)
        service.process.terminate()
        assert any(line.startswith(b"id:") for line in lines)
        assert service.process.wait(60) == 0
        stream.close()
        door.close()
    assert [json.loads(one)["event"] for one in service.log.read_text().splitlines() if "fault" in one] == []
