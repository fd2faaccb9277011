"""axe-core, the accessibility checker."""

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.libraries import Unavailable, libraries


FINDINGS = """axe.run(document, {resultTypes: ['violations'], runOnly: axe.getRules().filter(one => !one.tags.includes('wcag2aaa'))
    .map(one => one.ruleId)}).then(result => result.violations)"""
"""Also rules that axe runs only if they are named: the size of targets, and what it calls experimental."""


def axe_source() -> str:
    """Skips the test where it cannot be had."""
    try:
        return (libraries()["axe-core"] / "axe.min.js").read_text()
    except Unavailable as reason:
        pytest.skip(str(reason))


def findings(page: Page, source: str) -> list[str]:
    """Rule and elements of every finding, whatever its impact, of all rules but those of level AAA."""
    page.evaluate(source)
    found: list[dict[str, Any]] = page.evaluate(FINDINGS)
    return [f"{one['id']}: {node['html'][:200]} {node['failureSummary']}" for one in found for node in one["nodes"]]
