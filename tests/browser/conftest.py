"""A real browser, Debian's Chromium, before a real service that serves the test pages' origin."""

import itertools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright._impl._driver import compute_driver_executable
from playwright.sync_api import Browser, BrowserContext, Playwright, expect, sync_playwright

from tests.browser.libraries import Unavailable, libraries
from tests.browser.pages import Pages, pages
from tests.debian import install
from tests.stores import valkey
from tests.test_command import PATIENCE, Service, free_port, served

expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture(scope="session")
def whole_chromium() -> str:
    return _installed("chromium")


@pytest.fixture(scope="session")
def chromium(long: bool) -> str:
    """The same engine without windows and without the back-forward cache, which takes a third of the CPU; with --long the whole browser."""
    return _installed("chromium" if long else "chromium-headless-shell")


def _installed(program: str) -> str:
    """Installed where it is missing and may be, with the library that its driver needs; a laptop without it skips."""
    install(program, "libatomic1", unless=lambda: shutil.which(program) is not None and _driver_runs())
    found = shutil.which(program) or shutil.which("chromium")
    if not found:
        pytest.skip(f"needs Chromium: apt-get install {program}")
    return found


def _driver_runs() -> bool:
    node, _ = compute_driver_executable()
    return subprocess.run([node, "--version"], check=False, capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def playwright(chromium: str) -> Iterator[Playwright]:
    """Of one module, because its event loop would be in the way of other tests of the same process."""
    with sync_playwright() as started:
        yield started


@pytest.fixture
def browser(playwright: Playwright, chromium: str) -> Iterator[Browser]:
    """One for each test, and no context of it is closed: a browser that does not answer is killed after 30 seconds where it is closed as a
    whole, but waited for without end where one of its contexts is."""
    started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    yield started
    started.close()


@pytest.fixture(scope="session")
def shop_pages() -> Iterator[Pages]:
    with pages() as served_pages:
        yield served_pages


@pytest.fixture(scope="module")
def library_pages(shop_pages: Pages) -> None:
    """For pages that load the consent libraries themselves."""
    try:
        shop_pages.libraries = libraries()
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, shop_pages: Pages) -> Iterator[Service]:
    """With a store of its own: it lives on beside other tests, and its upkeep would take away what they keep."""
    place: Path = tmp_path_factory.mktemp("service")
    origins = f"http://localhost:{shop_pages.port}"
    environment = {"IDENTITY_SHOPS__DEMO__ORIGINS": origins, "IDENTITY_LIMITS__ENABLED": "false"}
    environment["IDENTITY_SERVER__PORT"] = str(free_port())
    with valkey() as store, served(place, **environment, IDENTITY_STORE__URL=store) as started:
        shop_pages.service = started.url.replace("127.0.0.1", "localhost")
        yield started


versions = itertools.count(140)


@pytest.fixture
def profile(browser: Browser, service: Service) -> BrowserContext:
    return fresh_profile(browser)


def fresh_profile(browser: Browser) -> BrowserContext:
    """Each a browser of its own, since two of one kind at one address share their cookieless ID, and with it a refusal."""
    version = next(versions)
    return browser.new_context(user_agent=f"Mozilla/5.0 (X11; Linux x86_64; rv:{version}.0) Gecko/20100101 Firefox/{version}.0")
