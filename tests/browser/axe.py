"""axe-core, the accessibility checker."""

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.libraries import Unavailable, libraries


def axe_source() -> str:
    """Skips the test where it cannot be had."""
    try:
        return (libraries()["axe-core"] / "axe.min.js").read_text()
    except Unavailable as reason:
        pytest.skip(str(reason))


def findings(page: Page, source: str) -> list[str]:
    """Rule and elements of every finding, whatever its impact, of all rules that axe runs by itself."""
    page.evaluate(source)
    run = "axe.run(document, {resultTypes: ['violations']}).then(result => result.violations)"
    found: list[dict[str, Any]] = page.evaluate(run)
    return [f"{one['id']}: {node['html'][:200]} {node['failureSummary']}" for one in found for node in one["nodes"]]
