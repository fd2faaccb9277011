"""The Grafana dashboard: a real Prometheus evaluates each of its expressions on scrapes of a real service."""

import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.deploy.files import DEPLOY
from tests.deploy.metrics import metrics_of, names
from tests.edges.proxies import needed
from tests.edges.shops import wait_for
from tests.test_command import PATIENCE, Service, eventually, free_port, served

DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
MOST_PANELS = 14
ONLY_IN_TROUBLE = {
    *("identity_store_errors_total", "identity_store_failovers_total", "identity_worker_deaths_total", "identity_cut_off_total"),
}
"""Metrics of which a service may show nothing while all is well."""
Ask = Callable[[str], list[Any]]
"""The samples of a PromQL expression."""


@contextmanager
def prometheus(place: Path, scraped: str) -> Iterator[Ask]:
    port = free_port()
    job = {"job_name": "identity", "static_configs": [{"targets": [scraped]}]}
    (place / "prometheus.yml").write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}))
    command = [needed("prometheus"), f"--config.file={place}/prometheus.yml", f"--storage.tsdb.path={place}/prometheus"]
    process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"])

    def ask(expression: str) -> list[Any]:
        query = urllib.parse.urlencode({"query": expression.replace("$__rate_interval", "10s")})
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{query}", timeout=20) as answer:
            found: list[Any] = json.load(answer)["data"]["result"]
            return found

    try:
        wait_for(port)
        assert eventually(lambda: is_ready(port))
        yield ask
    finally:
        process.terminate()
        process.wait(PATIENCE)


def is_ready(port: int) -> bool:
    """A Prometheus listens before it answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=20):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return False


def test_each_panel_shows_something_of_a_service_with_visitors(tmp_path: Path, store_url: str) -> None:
    wanted = [one for one in EXPRESSIONS if not metrics_of(one) & ONLY_IN_TROUBLE and metrics_of(one) <= names()]
    with served(tmp_path, IDENTITY_STORE__URL=store_url) as service:
        use(service)
        with prometheus(tmp_path, service.url.partition("://")[2]) as ask:
            assert eventually(lambda: use(service) and all(map(ask, wanted))), [one for one in wanted if not ask(one)]
            for expression in EXPRESSIONS:
                ask(expression)  # raises for one that cannot be read


def use(service: Service) -> bool:
    """A visitor who agrees and one who refuses, a click, and a wrong call."""
    statuses = [
        service.call("/v1/visitors", {"consent": "granted"})[0],
        service.call("/v1/consents", {"visitor": "v", "consent": "refused"})[0],
        service.call("/v2/log/click", {"visitor": "w", "product": 5})[0],
        service.call("/v1/lookups", {})[0],
    ]
    return statuses == [200, 200, 200, 422]


def test_its_expressions_read_metrics_that_the_service_has() -> None:
    assert set().union(*map(metrics_of, EXPRESSIONS)) - names() == set()


def test_it_is_small_and_takes_any_prometheus() -> None:
    assert len(DASHBOARD["panels"]) <= MOST_PANELS
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {"${source}"}
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["source"]
    assert all(target["legendFormat"] for panel in DASHBOARD["panels"] for target in panel["targets"])
