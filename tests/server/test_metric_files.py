"""The folder of metrics: counts of workers that ended stay, their files go, and so do folders of services that were killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from identity_service.server.metric_files import FOLDER_VARIABLE, metric_folder, remove_left_folders
from identity_service.server.metrics import flush_counts, observe_request

WORKER = """
import os
from identity_service.server.metrics import BAD_SIGNATURES, BREAKER_OPEN, count, flush_counts, observe_request, set_store_gauges
count(BAD_SIGNATURES)
observe_request("/v1/links", 0.004)
flush_counts()
set_store_gauges(True, False)
print(os.getpid())
"""
SUPERVISOR = """
import sys
from identity_service.server.metric_files import add_up, count_in_supervisor
from identity_service.server.metrics import STORE_ERRORS, WORKER_DEATHS
for pid in sys.argv[1:]:
    count_in_supervisor(WORKER_DEATHS)
    count_in_supervisor(STORE_ERRORS, reason="disk_full")
    add_up(int(pid))
"""
SCRAPE = "from identity_service.server.metrics import exposition; print(exposition().decode())"


def run(source: str, folder: Path, *arguments: str) -> str:
    environment = os.environ | {FOLDER_VARIABLE: str(folder)}
    return subprocess.run([sys.executable, "-c", source, *arguments], env=environment, capture_output=True, text=True, check=True).stdout


def test_counts_of_workers_that_ended_are_added_up_in_one_file(tmp_path: Path) -> None:
    pids = [run(WORKER, tmp_path).strip() for _ in range(2)]
    assert {path.name for path in tmp_path.glob("*.db")} >= {f"counter_{pid}.db" for pid in pids}
    run(SUPERVISOR, tmp_path, *pids)
    left = {path.name for path in tmp_path.glob("*.db")}
    assert not any(pid in name for pid in pids for name in left)
    scraped = run(SCRAPE, tmp_path).splitlines()
    assert {
        "identity_bad_signatures_total 2.0",
        "identity_worker_deaths_total 2.0",
        'identity_store_errors_total{reason="disk_full"} 2.0',
        'identity_request_seconds_bucket{le="0.0025",route="/v1/links"} 0.0',
        'identity_request_seconds_bucket{le="0.005",route="/v1/links"} 2.0',
        'identity_request_seconds_count{route="/v1/links"} 2.0',
        "identity_store_breaker_open 0.0",
    } <= set(scraped)


def test_the_folder_of_a_service_that_was_killed_is_removed_by_the_next_and_no_other(tmp_path: Path) -> None:
    with metric_folder(tmp_path) as living:
        left, foreign = tmp_path / "identity-metrics-left", tmp_path / "identity-metrics-foreign"
        for folder in (left, foreign):
            folder.mkdir()
        (left / "owner").touch()
        remove_left_folders(tmp_path)
        assert sorted(tmp_path.iterdir()) == sorted([living, foreign])
    assert list(tmp_path.iterdir()) == [foreign]


@pytest.mark.parametrize(("seconds", "first"), [(0.0, "0.001"), (0.001, "0.001"), (0.3, "0.5"), (99.0, "+Inf")])
def test_a_request_is_in_the_buckets_from_its_own_duration_on(seconds: float, first: str) -> None:
    route = f"/of/{seconds}"
    observe_request(route, seconds)
    flush_counts()
    values = {
        sample.labels["le"]: sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == "identity_request_seconds_bucket" and sample.labels["route"] == route
    }
    assert next(bound for bound, value in values.items() if value) == first
    assert REGISTRY.get_sample_value("identity_request_seconds_sum", {"route": route}) == seconds
