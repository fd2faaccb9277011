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
    """Rule and elements of every finding, whatever its impact. Rules that axe calls experimental are left out."""
    page.evaluate(source)
    options = {"resultTypes": ["violations"]}
    found: list[dict[str, Any]] = page.evaluate("options => axe.run(document, options).then(result => result.violations)", options)
    return [f"{one['id']}: {node['html'][:200]} {node['failureSummary']}" for one in found for node in one["nodes"]]
