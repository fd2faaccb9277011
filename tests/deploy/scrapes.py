"""What the alert rules say of a service's own scrapes: they become series, on which `promtool test rules` evaluates the shipped rules."""

import json
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.files import DEPLOY
from tests.deploy.metrics import metrics_of
from tests.edges.proxies import needed

RULES: list[dict[str, Any]] = yaml.safe_load((DEPLOY / "prometheus-rules.yaml").read_text())["groups"][0]["rules"]
READ = set[str]().union(*(metrics_of(rule["expr"]) for rule in RULES))
DURATIONS = "identity_request_seconds_bucket"
COUNTERS = ("_total", "_bucket")
FIRING = 'ALERTS{alertstate="firing"}'
SCRAPED = {"job": "identity", "instance": "a"}
UP = 'up{job="identity", instance="a"}'
STEP, ROUND = 15, 30
"""Seconds between two scrapes, and between two looks at the rules."""
MINUTE = 60 // STEP
Scrape = Mapping[str, float]
"""Values by series, as PromQL writes them."""


def scrape_of(text: str, *, timed: bool = False) -> Scrape:
    """Of an answer of /metrics, what the rules read. `timed`: also the durations, which say more of the tests' machine than of a fault."""
    found = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    wanted = READ if timed else READ - {DURATIONS}
    return {one.name + _braced(SCRAPED | one.labels): one.value for one in found if one.name in wanted}


def _braced(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{label}={json.dumps(value)}" for label, value in labels.items()) + "}"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which each of Prometheus' scrapes follows the one before as `after` follows `before`: what a test does in a second lasts as
    long as at night. `after` None: the scrapes get no answer. `steps`: how many scrapes. `firing`: the alerts at its end."""

    before: Scrape
    after: Scrape | None
    steps: int = 10 * MINUTE
    firing: Collection[str] = ()


def assert_alerts(place: Path, stretches: Sequence[Stretch]) -> None:
    """Stretches that follow each other have at their ends the alerts that they name, and no others."""
    expected, seconds = [], 0
    for stretch in stretches:
        seconds += stretch.steps * STEP
        expected.append(_expected(f"group by (alertname) ({FIRING})", seconds - STEP, stretch.firing))
    _run(place, stretches, expected)


def assert_quiet(place: Path, stretches: Sequence[Stretch]) -> None:
    """No alert fires at any time."""
    seconds = sum(one.steps for one in stretches) * STEP
    _run(place, stretches, [_expected(f"count_over_time({FIRING}[{seconds}s])", seconds - STEP, ())])


def _expected(expression: str, moment: int, alerts: Collection[str]) -> dict[str, Any]:
    samples = [{"labels": _braced({"alertname": alert}), "value": 1} for alert in alerts]
    return {"expr": expression, "eval_time": f"{moment}s", "exp_samples": samples}


def _run(place: Path, stretches: Sequence[Stretch], expected: Sequence[Mapping[str, Any]]) -> None:
    named = dict.fromkeys(series for one in stretches if one.after for series in one.after)
    series = [{"series": name, "values": _values(name, stretches)} for name in named]
    series.append({"series": UP, "values": " ".join(f"{int(one.after is not None)}x{one.steps - 1}" for one in stretches)})
    test = {"interval": f"{STEP}s", "input_series": series, "promql_expr_test": expected}
    rules = {"rule_files": [str(DEPLOY / "prometheus-rules.yaml")], "evaluation_interval": f"{ROUND}s", "tests": [test]}
    file = place / "scrapes.test.yaml"
    file.write_text(json.dumps(rules))
    command = [needed("promtool", "prometheus"), "test", "rules", str(file)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr


def _values(series: str, stretches: Sequence[Stretch]) -> str:
    """In promtool's notation, in which `1+2x3` is 1 3 5 7."""
    parts, last = [], None
    for stretch in stretches:
        times = stretch.steps - 1
        value = None if stretch.after is None else stretch.after.get(series)
        if value is None:
            parts.append(f"_x{stretch.steps}")
        elif series.partition("{")[0].endswith(COUNTERS):
            growth = value - stretch.before.get(series, 0)
            first = value if last is None else last + growth
            parts.append(f"{first:.12g}+{growth:.12g}x{times}")
            last = first + growth * times
        else:
            parts.append(f"{value:.12g}x{times}")
    return " ".join(parts)
