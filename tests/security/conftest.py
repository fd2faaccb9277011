"""The service as it is run: a real process with sockets, and short deadlines so that tests need not wait. --long for the large numbers."""

from collections.abc import Iterator

import pytest

from tests.test_command import Service, served

HEADER_SECONDS, BODY_SECONDS = 1.0, 1.5


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    environment = {
        "IDENTITY_LIMITS__ENABLED": "false",
        "IDENTITY_LIMITS__HEADER_SECONDS": str(HEADER_SECONDS),
        "IDENTITY_LIMITS__BODY_SECONDS": str(BODY_SECONDS),
    }
    with served(tmp_path_factory.mktemp("service"), **environment) as running:
        yield running
