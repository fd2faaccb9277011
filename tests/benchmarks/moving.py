"""How long a move under a new pepper takes: python -m tests.benchmarks.moving [LINKS]. Each link has a visitor record of its own."""

import secrets
import sys
import time

import redis

from identity_service.model.handle import Handles
from identity_service.model.shop import ShopId
from identity_service.ops.blocking import direct
from identity_service.ops.entries import Side
from identity_service.ops.move import Moving
from identity_service.store.keys import Keys
from tests.stores import valkey

SHOP = ShopId("demo")
OLD, NEW = "O" * 43, "N" * 43
LIFE = 420 * 86_400
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


def plant(url: str, links: int) -> None:
    handles, now = Handles(OLD), int(time.time())
    keys = Keys(handles)
    with redis.Redis.from_url(url) as client:
        for start in range(0, links, 1000):
            with client.pipeline(transaction=False) as pipe:
                for number in range(start, min(start + 1000, links)):
                    visitor, handle = secrets.token_urlsafe(16), handles.of_customer(SHOP, f"c{number}")
                    record, linked = keys.visitor(SHOP, visitor).record, keys.handle(SHOP, handle)
                    proof = {"r": secrets.token_urlsafe(16), "q": secrets.token_urlsafe(16), handle.name: "v"}
                    pipe.hset(
                        record, mapping={"k": "p", "l": now, "f": now, "x": now + LIFE, "g": now * 1000, "s": "plain", "c": 1} | proof
                    )
                    pipe.hset(linked, visitor, f"{now} 0 {LIFE} lv")
                    pipe.expire(record, LIFE)
                    pipe.expire(linked, LIFE)
                pipe.execute()


def cpu(url: str) -> float:
    with redis.Redis.from_url(url) as client:
        used = client.info("cpu")
        return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def main(links: int) -> None:
    with valkey() as source, valkey(*DURABLE) as target:
        plant(source, links)
        moving = Moving(Side(direct(source, 60)), Side(direct(target, 60)), [OLD, NEW], ("FROM", "TO"))
        moving.begin()
        began, used, servers = time.monotonic(), time.process_time(), cpu(source) + cpu(target)
        moving.copy(lambda _done: None)
        copied = time.monotonic()
        assert moving.compare(lambda _done: None).equal
        took, used, servers = time.monotonic() - began, time.process_time() - used, cpu(source) + cpu(target) - servers
        print(f"{2 * links:,} keys: copied {2 * links / (copied - began):,.0f}/s, with the comparison {2 * links / took:,.0f}/s")
        million = 1_000_000 / links / 60
        print(f"a million links: {took * million:.1f} minutes, {(used + servers) * million:.1f} of them CPU")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
