"""Sends orders as a shop's server does: LIBRARY NAME ADDRESS…; prints a line for each answer."""

import asyncio
import json
import sys
from typing import Any

LINES = [{"id": "12793", "quantity": 2, "price": "99.95"}, {"id": 7, "quantity": 1, "price": 1}]


def sale(name: str) -> dict[str, Any]:
    return {"key": "demo-public-key", "sale": name, "products": LINES}


def flat(name: str) -> dict[str, str]:
    return {"key": "demo-public-key", "sale": name, "products": json.dumps(LINES)}


def by_requests(name: str, url: str) -> None:
    import requests

    for answer in (
        requests.post(url, json=sale(f"{name}-json"), timeout=60),
        requests.get(url, params=flat(f"{name}-query"), timeout=60),
        requests.post(url, data=flat(f"{name}-form"), timeout=60),
    ):
        print(answer.status_code, answer.text)


def by_httpx(name: str, url: str) -> None:
    import httpx

    with httpx.Client(timeout=60) as client:
        for answer in (
            client.post(url, json=sale(f"{name}-json")),
            client.get(url, params=flat(f"{name}-query")),
            client.post(url, data=flat(f"{name}-form")),
        ):
            print(answer.status_code, answer.text)


async def by_aiohttp(name: str, url: str) -> None:
    import aiohttp

    async with aiohttp.ClientSession() as client:
        for call in (
            client.post(url, json=sale(f"{name}-json")),
            client.get(url, params=flat(f"{name}-query")),
            client.post(url, data=flat(f"{name}-form")),
        ):
            async with call as answer:
                print(answer.status, await answer.text())


library, prefix, *addresses = sys.argv[1:]
for at, address in enumerate(addresses):
    told = (f"{prefix}-{at}", f"{address}/v2/log/sale")
    if library == "aiohttp":
        asyncio.run(by_aiohttp(*told))
    else:
        {"requests": by_requests, "httpx": by_httpx}[library](*told)
