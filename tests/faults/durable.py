"""Stores that keep each acknowledged write, of every form that `store.url` has, on Valkey and on Redis."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.stores import valkey
from tests.topologies import DURABLE, Cluster, Sentinels, Single, Topology, cluster, sentinels

GUARDED = (*DURABLE, "--min-replicas-to-write", "1", "--min-replicas-max-lag", "2")
"""Of servers with replicas."""
REDIS = shutil.which("redis-server") or ""
VALKEY = ""
"""The embedded store's server."""
NEEDS_REDIS = pytest.mark.skipif(not REDIS, reason="needs Debian's redis-server")


@contextmanager
def durable_single(program: str) -> Iterator[Single]:
    with valkey(*DURABLE, program=program) as url:
        yield Single(url)


def durable_sentinels(program: str) -> AbstractContextManager[Sentinels]:
    return sentinels(*GUARDED, program=program)


def durable_cluster(program: str) -> AbstractContextManager[Cluster]:
    return cluster(*GUARDED, program=program)


FORMS: Mapping[str, Callable[[str], AbstractContextManager[Topology]]] = {
    "single": durable_single,
    "sentinel": durable_sentinels,
    "cluster": durable_cluster,
}
"""Each gets the server's program."""
