"""A storefront's edge. `visitor(visit)` gives the ID or None, `sale(visit, order)` True once it is kept. `session`
is kept on the server.
Set IDENTITY_URL, the service's address, and IDENTITY_KEY, a private key.
Django: Visit(request.headers, request.META["REMOTE_ADDR"], request.session, response.cookies.load,
request.method, request.get_full_path())
FastAPI: Visit(request.headers, request.client.host, session, partial(response.headers.append, "Set-Cookie"),
request.method, "?".join(filter(None, (request.url.path, request.url.query))))"""

import json
import os
import re
import time
from collections import namedtuple
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

Visit = namedtuple("Visit", "headers address session set_cookie method target", defaults=(None, None))


def ask(visit: Visit, path: str, body: dict[str, Any], pauses: tuple[float, ...] = (0,)) -> dict[str, Any]:
    service = urlsplit(os.environ["IDENTITY_URL"])
    connect = HTTPSConnection if service.scheme == "https" else HTTPConnection
    headers = {"Authorization": f"Bearer {os.environ['IDENTITY_KEY']}", "Content-Type": "application/json"}
    headers["Cookie"] = visit.headers.get("Cookie", "")
    for seconds in pauses:
        time.sleep(seconds)
        call = connect(service.netloc, timeout=0.5)
        with closing(call), suppress(OSError, ValueError, HTTPException, RecursionError):
            call.request("POST", service.path + path, json.dumps(body, default=str), headers)
            answer = call.getresponse()
            for line in answer.headers.get_all("Set-Cookie", []):
                visit.set_cookie(line)
            found = json.loads(answer.read(65536))
            if isinstance(found, dict) and answer.status < 500 and answer.status != 429:
                return found
    return {}


def agent(visit: Visit) -> dict[str, Any]:
    names = {"signature_agent": "Signature-Agent", "signature_input": "Signature-Input", "signature": "Signature"}
    told = {name: visit.headers.get(header) for name, header in names.items()}
    return {**told, "authority": visit.headers.get("Host"), "method": visit.method, "target": visit.target}


def visitor(visit: Visit) -> str | None:
    client = {"ip": visit.address, "user_agent": visit.headers.get("User-Agent"), "gpc": visit.headers.get("Sec-GPC")}
    client["agent"] = agent(visit)
    held = re.search(r"(^|;\s*)__Host-visitor=", visit.headers.get("Cookie", ""))
    token = None if held else visit.session.get("visitor_token")
    match ask(visit, "/v1/visitors", {"client": client, "token": token}):
        case {"token": token, "visitor": found, "decision": {"reason": reason}} if reason != "store_unavailable":
            visit.session["visitor_token"] = token  # None: this visitor has no ID; else the token stays
            return str(found) if found else None
    return None


def sale(visit: Visit, order: dict[str, Any]) -> bool:
    known = {"visitor": visit.session["visitor_token"]} if "visitor_token" in visit.session else {}  # else: not asked
    return ask(visit, "/v2/log/sale", {"agent": agent(visit)} | order | known, (0, 0.2, 0.4)).get("status") == "ok"
