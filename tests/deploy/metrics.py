"""Names of metrics: in PromQL, and those that the service has."""

import re

from prometheus_client import REGISTRY

import identity_service.server.metrics  # noqa: F401 its metrics are registered by that

OF_PROMETHEUS = {"up"}
"""Made by a scrape itself."""


def metrics_of(expression: str) -> set[str]:
    """What a PromQL expression reads."""
    return set(re.findall(r"\b(?:identity_\w+|up)\b(?=[{\[ ]|$|\))", expression)) - OF_PROMETHEUS


def names() -> set[str]:
    """Those of the service, with those of a histogram's parts."""
    found = set()
    for family in REGISTRY.collect():
        if family.type == "counter":
            found.add(f"{family.name}_total")
        elif family.type == "histogram":
            found |= {f"{family.name}_{part}" for part in ("bucket", "sum", "count")}
        else:
            found.add(family.name)
    return {name for name in found if name.startswith("identity_")}
