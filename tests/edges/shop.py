"""A shop's server around the README's edge, with sessions in its memory."""

import json
import os
import secrets
import time
import urllib.error
import urllib.request
from collections import defaultdict
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

edge: dict[str, Any] = {"json": json, "os": os, "time": time, "urllib": urllib}
exec(Path(os.environ["EDGE"]).read_text(), edge)
sessions: defaultdict[str, dict[str, Any]] = defaultdict(dict)


async def answer(request: Request) -> Response:
    name = request.cookies.get("sid") or secrets.token_hex(8)
    response = Response()
    response.set_cookie("sid", name)
    if request.url.path == "/order":
        edge["sale"](request, response, sessions[name], await request.json())
    else:
        response.body = (edge["visitor"](request, response, sessions[name]) or "nobody").encode()
        response.headers["content-length"] = str(len(response.body))
    return response


app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
