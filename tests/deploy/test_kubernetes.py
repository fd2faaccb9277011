"""The Kubernetes manifest agrees with the service: settings, ports, addresses of probes, and times."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml
from jsonschema_rs import validator_for

from identity_service.server.supervisor import END_SECONDS
from tests.conftest import Shopper
from tests.deploy.files import DEPLOY, settings_of, written_by_init

MANIFEST: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
[DEPLOYMENT] = [one["spec"] for one in MANIFEST if one["kind"] == "Deployment"]
POD = DEPLOYMENT["template"]["spec"]
[CONTAINER] = POD["containers"]
PROBES = {name: CONTAINER[f"{name}Probe"] for name in ("liveness", "readiness", "startup")}
ENVIRONMENT = {one["name"]: one["value"] for one in CONTAINER["env"]}
SCHEMAS = "kubernetes-validate==1.37.0 --hash=sha256:85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9"
URL = "redis+sentinel://identity:x@one,two,three/main"


@pytest.fixture(scope="session")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    """Those of Kubernetes' own releases, as the wheel of `kubernetes-validate` has them: one package, which nothing imports."""
    place = tmp_path_factory.mktemp("schemas")
    (place / "requirements.txt").write_text(SCHEMAS)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--dest", str(place)]
    run = subprocess.run(
        [*command, "--requirement", str(place / "requirements.txt")], capture_output=True, text=True, check=False, timeout=300
    )
    if run.returncode:
        pytest.skip(f"the schemas cannot be fetched: {run.stderr[-300:]}")
    [wheel] = place.glob("*.whl")
    return ZipFile(wheel)


@pytest.mark.thorough
@pytest.mark.parametrize("version", ["1.25", "1.37"])
def test_kubernetes_knows_every_member_of_it(schemas: ZipFile, version: str) -> None:
    for one in MANIFEST:
        name = "-".join([one["kind"].lower(), *one["apiVersion"].split("/")])
        schema, definitions = (read(schemas, version, file) for file in (name, "_definitions"))
        found = validator_for(schema | definitions).iter_errors(one)
        assert [f"{error.instance_path}: {error.message}" for error in found] == []


def read(schemas: ZipFile, version: str, file: str) -> dict[str, Any]:
    """References lead to the same document."""
    text = schemas.read(f"kubernetes_validate/kubernetes-json-schema/v{version}.0-local-strict/{file}.json").decode()
    found: dict[str, Any] = json.loads(text.replace('"_definitions.json#', '"#'))
    return found


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
