"""Samples sorted by part; nothing is sampled."""

from tests.benchmarks.profile import LOOP, by_part, table


def test_a_sample_counts_for_the_innermost_part_that_called() -> None:
    served = "run (uvicorn/server.py:70);run (asyncio/runners.py:118)"
    request = f"{served};run_asgi (uvicorn/protocols/http/httptools_impl.py:400);__call__ (identity_service/web/edge.py:50)"
    stacks = [
        f"{served} 5",
        f"{request} 3",
        f"{request};record (identity_service/store/events.py:40);loads (json/decoder.py:9) 2",
        f"{request};decide (identity_service/model/policy.py:7) 4",
        f"{request};#!lua flags=allow-oom",  # a name that was overwritten while it was read
        "-- ARGV[1]  receipt   ARGV[2]",
        "local now = 7",
    ]
    parts = by_part(stacks)
    assert parts == {LOOP: 5, "headers, route, log, counts": 3, "store": 2, "decision": 4}
    assert table({"a call": (28.0, parts)}).splitlines()[-1] == "| a call | 28 | 36% | 0% | 21% | 0% | 0% | 14% | 0% | 29% |"
