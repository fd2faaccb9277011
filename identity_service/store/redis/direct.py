"""The library's own blocking clients, for what an operator runs against a store; no request goes through them."""

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.sentinel import Sentinel

from identity_service.errors import StoreUnavailable
from identity_service.settings.store_url import parse_address


def direct(url: str, timeout: float) -> redis.Redis | RedisCluster:
    """Replies come as bytes. `timeout`: seconds. Raises ValueError for a URL of no known form, StoreUnavailable where nothing answers."""
    address = parse_address(url)
    times = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
    try:
        if address.topology == "single":
            return redis.Redis.from_url(url, **times)
        if address.topology == "cluster":
            first = [redis.Redis.from_url(server).connection_pool.connection_kwargs for server in address.servers]
            nodes = [ClusterNode(one["host"], one["port"]) for one in first]  # type: ignore[no-untyped-call]
            return RedisCluster.from_url(address.servers[0], startup_nodes=nodes, **times)
        sentinels = Sentinel([])  # type: ignore[no-untyped-call]
        sentinels.sentinels = [redis.Redis.from_url(server, **times) for server in address.servers]
        host, port = sentinels.discover_master(address.service)  # type: ignore[no-untyped-call]
        return redis.Redis.from_url(address.server(host, port), **times)
    except redis.RedisError as error:
        raise StoreUnavailable from error
