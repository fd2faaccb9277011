"""What the edges' languages need: programs from Debian, and the little shops around the edges."""

import pytest

from tests.debian import install_program


def need(program: str, package: str) -> None:
    """Installs the program where it is missing and may be; a laptop without it skips."""
    if not install_program(program, package):
        pytest.skip(f"needs {program}: apt-get install {package}")
