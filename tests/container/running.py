"""A container without an engine: the image's root, not to be written, in name spaces of its own, as the image's user."""

import hashlib
import os
import secrets
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.container.image import Image
from tests.test_command import Service, descendants, free_port

ENTER = Path(__file__).parent / "enter.sh"


OWN_SHOP = {
    "IDENTITY_SECRETS__SIGNING_KEYS": secrets.token_urlsafe(32),
    "IDENTITY_SECRETS__PEPPER": secrets.token_urlsafe(32),
    "IDENTITY_SHOPS__OWN__PUBLIC_KEYS": f"pk_{secrets.token_urlsafe(24)}",
    "IDENTITY_SHOPS__OWN__PRIVATE_KEYS": f"sha256:{hashlib.sha256(b'demo-private-key').hexdigest()}",
}
"""What the image's command needs to start; the private key is the one that the tests call with."""


class Container(Service):
    """`first`: its process 1, as this machine numbers it."""

    @property
    def first(self) -> int:
        [pid] = descendants(self.process.pid)
        return pid

    def processes(self) -> list[int]:
        """Of the container, the first one first."""
        found = [self.first]
        for pid in found:
            found += descendants(pid)
        return found

    def stop(self) -> int:
        """As an engine does; returns the exit status."""
        os.kill(self.first, signal.SIGTERM)
        return self.process.wait(30)


def command_of(image: Image) -> list[str]:
    return [*image.config["Entrypoint"], *image.config["Cmd"]]


@contextmanager
def running(image: Image, data: Path, *flags: str, **environment: str) -> Iterator[Container]:
    """The image's own command with more flags; `data` is its volume, and nothing else but /dev/shm can be written."""
    os.chown(data, int(image.config["User"]), -1)
    told = dict(line.split("=", 1) for line in image.config["Env"]) | OWN_SHOP | environment
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", str(ENTER), str(image.root), str(data), image.config["User"]]
    command += [f"{name}={value}" for name, value in told.items()]
    command += [*command_of(image), "--host", "127.0.0.1", "--port", str(free_port()), *flags]
    log = data.parent / f"{data.name}.log"
    with log.open("a") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)
    try:
        yield Container(process, log)
    finally:
        process.kill()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()


def healthy(image: Image, url: str) -> bool:
    """What the image's health check says of a service that listens elsewhere than on its usual port."""
    kind, *check = image.config["Healthcheck"]["Test"]
    assert kind == "CMD", shlex.join(check)
    asked = [word.replace("http://127.0.0.1:8080", url) for word in check]
    user = image.config["User"]
    return (
        subprocess.run(["chroot", f"--userspec={user}:{user}", str(image.root), *asked], capture_output=True, check=False).returncode == 0
    )
