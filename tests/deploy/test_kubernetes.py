"""The Kubernetes manifest agrees with the service: settings, ports, addresses of probes, and times."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from identity_service.server.supervisor import END_SECONDS
from tests.conftest import Shopper
from tests.deploy.files import DEPLOY, settings_of, written_by_init

MANIFEST: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
[DEPLOYMENT] = [one["spec"] for one in MANIFEST if one["kind"] == "Deployment"]
POD = DEPLOYMENT["template"]["spec"]
[CONTAINER] = POD["containers"]
PROBES = {name: CONTAINER[f"{name}Probe"] for name in ("liveness", "readiness", "startup")}
ENVIRONMENT = {one["name"]: one["value"] for one in CONTAINER["env"]}
URL = "redis+sentinel://identity:x@one,two,three/main"


def test_its_service_runs_with_settings_that_exist(tmp_path: Path) -> None:
    settings = settings_of(ENVIRONMENT, CONTAINER["args"], written_by_init(tmp_path / "shop", URL))
    assert (settings.store.url, settings.store.replicas) == (URL, 1)
    ports = {one["name"]: one["containerPort"] for one in CONTAINER["ports"]}
    assert ports == {"public": settings.server.port, "internal": settings.server.internal_port}
    for service in (one["spec"] for one in MANIFEST if one["kind"] == "Service"):
        assert all(ports[port["targetPort"]] == port["port"] for port in service["ports"])
    mounted = {path.rpartition("/")[0] for name, path in ENVIRONMENT.items() if name.endswith("_FILE")} | {"/etc/identity-service"}
    assert {one["mountPath"] for one in CONTAINER["volumeMounts"]} == mounted


def test_it_ends_a_pod_after_its_calls(tmp_path: Path) -> None:
    settings = settings_of(ENVIRONMENT, CONTAINER["args"], written_by_init(tmp_path / "shop", URL))
    waits = int(CONTAINER["lifecycle"]["preStop"]["exec"]["command"][1])
    assert POD["terminationGracePeriodSeconds"] > waits + settings.server.drain_seconds + END_SECONDS


def test_it_replaces_pods_one_by_one_and_never_has_fewer() -> None:
    assert DEPLOYMENT["replicas"] >= 2
    assert DEPLOYMENT["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    labels = DEPLOYMENT["template"]["metadata"]["labels"]
    selectors = [one["spec"]["selector"] for one in MANIFEST if one["kind"] != "Deployment"]
    assert all(one.get("matchLabels", one) == labels for one in [*selectors, DEPLOYMENT["selector"]])


def test_a_store_that_is_away_makes_a_pod_unready_and_kills_none() -> None:
    addresses = {name: (probe["httpGet"]["path"], probe["httpGet"]["port"]) for name, probe in PROBES.items()}
    assert addresses == {"liveness": ("/healthz", "public"), "readiness": ("/readyz", "public"), "startup": ("/healthz", "public")}


@pytest.mark.anyio
async def test_its_probes_are_answered(shopper: Shopper, cut_off: Shopper) -> None:
    for name, probe in PROBES.items():
        path = probe["httpGet"]["path"]
        assert (await shopper.client.get(path)).status_code == 200
        assert (await cut_off.client.get(path)).status_code == (503 if name == "readiness" else 200)
