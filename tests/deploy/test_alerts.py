"""Alert rules: each fires at what it is for, none on a quiet day, and all look at metrics and labels that the service has."""

import re
import subprocess

import yaml

from identity_service.store.redis.cause import Cause
from tests.deploy.files import DEPLOY
from tests.deploy.metrics import metrics_of, names
from tests.deploy.scrapes import RULES
from tests.edges.proxies import needed
from tests.test_docs_agree import part

TESTS = ("prometheus-rules.test.yaml", "prometheus-day.test.yaml")
REFUSING = {Cause.PEPPER, Cause.EMPTIED, Cause.MOVED}
"""Reasons that are counted once, since the store is refused from then on: a gauge shows that."""


def test_they_fire_at_what_they_are_for_and_not_on_a_quiet_day() -> None:
    command = [needed("promtool", "prometheus"), "test", "rules", *TESTS]
    run = subprocess.run(command, cwd=DEPLOY, capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr


def test_each_is_shown_to_fire() -> None:
    tests = [test for file in TESTS for test in yaml.safe_load((DEPLOY / file).read_text())["tests"]]
    fired = {case["alertname"] for test in tests for case in test.get("alert_rule_test", []) if case["exp_alerts"]}
    assert sorted(fired) == sorted(rule["alert"] for rule in RULES)


def test_they_look_at_metrics_that_the_service_has() -> None:
    assert set().union(*(metrics_of(rule["expr"]) for rule in RULES)) - names() == set()


def test_every_reason_of_a_failure_has_an_alert_and_no_other_is_named() -> None:
    named = {reason for rule in RULES for text in re.findall(r'reason=~?"([^"]+)"', rule["expr"]) for reason in text.split("|")}
    assert named == set(Cause) - REFUSING
    assert any("identity_store_refused" in rule["expr"] for rule in RULES)


def test_the_manual_says_what_to_do_at_each() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", part("deploy", "Alerts"), re.MULTILINE)
    assert listed == [rule["alert"] for rule in RULES]
