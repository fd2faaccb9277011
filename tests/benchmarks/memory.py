"""Bytes a link takes in the store."""

from typing import Any

import redis

LINKS = 50_000


def print_bytes(url: str) -> None:
    """Links of one visitor each as the service writes them: value lengths and lives are the real ones."""
    connection = redis.Redis.from_url(url, decode_responses=True)
    # Valkey frees a flushed database in the background by default: memory still in use "before" would be missing from the figure.
    connection.config_set("lazyfree-lazy-user-flush", "no")
    for name, with_record in (("a link", False), ("a link with its visitor record", True)):
        connection.flushall()
        before = int(connection.info("memory")["used_memory"])
        for start in range(0, LINKS, 1_000):
            pipeline = connection.pipeline(transaction=False)
            for number in range(start, start + 1_000):
                tag = f"{number:022d}"
                visitor = f"{number:021d}v"
                pipeline.hset(f"id:v1:E{{demo:{tag}}}", visitor, "1795000000 0 33696000 lv")
                pipeline.expire(f"id:v1:E{{demo:{tag}}}", 33_696_000)
                if with_record:
                    pipeline.hset(f"id:v1:V{{demo:{tag}}}", mapping=record(tag, visitor))
                    pipeline.expire(f"id:v1:V{{demo:{tag}}}", 33_696_000)
            pipeline.execute()
        used = int(connection.info("memory")["used_memory"]) - before
        print(f"{used / LINKS:.0f} bytes {name} ({connection.info('server').get('valkey_version', 'redis')})")
    connection.close()


def record(tag: str, visitor: str) -> dict[Any, Any]:
    return {
        "k": "p",
        "f": 1795000000,
        "q": visitor,
        "l": 1795000000,
        "x": 1828696000,
        "g": 1795000000250,
        "s": "plain",
        "r": visitor,
        "e": 1,
        f"e{tag}": "abcdefghijkv",
    }
