"""The service's login, as the file for the store's users states it: every call works with it, and no command is named in vain."""

import re
import shutil

import pytest
import redis

from identity_service.app import Application
from identity_service.store.embedded import server_binary
from tests.conftest import Clock
from tests.contract.examples import Run, made, service
from tests.deploy.files import DEPLOY
from tests.stores import PATIENT_STORE, valkey

pytestmark = pytest.mark.anyio
LOGIN = next(line for line in (DEPLOY / "store-users.acl").read_text().splitlines() if line.startswith("user identity "))
WITH_REPLICAS, IN_A_CLUSTER = {"wait"}, {"cluster|slots"}
PROGRAMS = [str(server_binary()), shutil.which("redis-server")]


async def use(url: str) -> None:
    """Every call, the probes, and a round of upkeep."""
    await made(url)
    clock = Clock()
    async with service(clock, PATIENT_STORE | {"IDENTITY_STORE__URL": url, "IDENTITY_LIMITS__ENABLED": "false"}) as client:
        await Run(client, clock).whole()
        application: Application = client._transport.app  # type: ignore[attr-defined]
        clock.forward(3600)
        await application.keep_up()


def denied(database: redis.Redis) -> list[str]:
    return [str(one["object"]) for one in database.acl_log()]


@pytest.mark.parametrize("program", PROGRAMS, ids=["valkey", "redis"])
async def test_every_call_works_with_it_and_each_command_that_it_names_is_sent(program: str | None) -> None:
    if program is None:
        pytest.skip("needs Debian's redis-server")
    with valkey("--user", *LOGIN.split()[1:], program=program) as socket, redis.Redis.from_url(socket, decode_responses=True) as database:
        database.config_resetstat()
        await use(socket.replace("unix://", "unix://identity:PASSWORD@"))
        assert denied(database) == []
        sent = {name.removeprefix("cmdstat_") for name in database.info("commandstats")}
    named = set(re.findall(r"\+([a-z|]+)", LOGIN))
    assert named - sent == WITH_REPLICAS | IN_A_CLUSTER
