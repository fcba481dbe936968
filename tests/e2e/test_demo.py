"""The main job, as a newcomer runs it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Dabba

DEMO_SECONDS_MAX = 240
RELEASE_FIELDS = {
    "name", "from", "to", "outcome", "requests_total", "requests_failed", "requests_failed_by_bad_version",
    "p99_ms_before", "p99_ms_during", "switch_seconds", "detect_seconds", "rollback_seconds", "steps",
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(process_pods: None) -> Iterator[tuple[int, str, Path]]:
    """Exit status, what was printed, and where the reports are."""
    with tempfile.TemporaryDirectory(prefix="dabba", ignore_cleanup_errors=True) as made:
        dabba = Dabba(Path(made))
        (dabba.home / "run").mkdir(mode=0o700)
        done = dabba.run("demo", "--quick", "--output", made, timeout=DEMO_SECONDS_MAX)
        yield done.returncode, done.stdout + done.stderr, dabba.home


@pytest.fixture
def report(finished: tuple[int, str, Path]) -> dict[str, Any]:
    status, printed, folder = finished
    assert (folder / "demo-report.json").exists(), printed
    found: dict[str, Any] = json.loads((folder / "demo-report.json").read_text())
    assert status == 0, printed
    return found


@pytest.mark.timeout(DEMO_SECONDS_MAX + 30)
def test_two_good_versions_are_promoted_and_the_bad_one_is_rolled_back(report: dict[str, Any]) -> None:
    outcomes = [(release["to"], release["outcome"]) for release in report["releases"]]
    assert outcomes == [("v2.9.0", "promoted"), ("v3.4.0", "promoted"), ("v3.4.1", "rolled-back")]


def test_no_request_failed_except_those_that_the_bad_version_answered(report: dict[str, Any]) -> None:
    *good, bad = report["releases"]
    assert [release["requests_failed"] for release in good] == [0, 0]
    assert all(release["requests_total"] >= 3_000 for release in report["releases"])
    assert bad["requests_failed"] == bad["requests_failed_by_bad_version"] > 0
    assert bad["rollback_seconds"] < 1.0


def test_the_clients_counts_agree_with_envoys(report: dict[str, Any]) -> None:
    for release in report["releases"]:
        assert release["envoy"]["requests"] == release["requests_total"]
        assert release["envoy"]["failed"] == release["requests_failed"]


def test_the_report_has_every_promised_field_and_only_measured_numbers(report: dict[str, Any]) -> None:
    assert report["cluster_ready_seconds"] > 0
    assert report["first_pod_ready_seconds"] > 0
    for release in report["releases"]:
        assert set(release) >= RELEASE_FIELDS
        assert release["switch_seconds"] > 0
    assert report["releases"][0]["detect_seconds"] is None


def test_the_page_for_people_is_there_and_the_cluster_is_down(finished: tuple[int, str, Path]) -> None:
    _, printed, folder = finished
    page = (folder / "demo-report.html").read_text()
    assert "every promise held" in page
    assert "the cluster is down" in printed
