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


def serious_findings(page: Page, source: str, *, rules: tuple[str, ...] = ()) -> list[str]:
    """Rule and elements of every finding that axe calls serious or critical; of some rules alone, if any are named."""
    page.evaluate(source)
    options = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    found: list[dict[str, Any]] = page.evaluate("options => axe.run(document, options).then(result => result.violations)", options)
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]
