"""`dabba guard images`: what it lists, what it stops, what it decides, and with which exit status."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from click.testing import CliRunner, Result

from dabbawala.api import core_v1
from dabbawala.cli import connection
from dabbawala.cli.guard_images import CHECKS
from dabbawala.cli.main import dabba
from dabbawala.client.client import Client
from tests.guard.enforcement.worlds import guarded
from tests.guard.images.worlds import DIGEST, FOLDER, report

IMAGE = f"registry.example.com/upi-switch:2.3@{DIGEST}"
POD: dict[str, Any] = {
    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "switch", "namespace": "bank"},
    "spec": {"containers": [{"name": "web", "image": IMAGE}]},
}  # fmt: skip


def run(*arguments: object) -> Result:
    return CliRunner().invoke(dabba, ["guard", "images", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A manifest, and a scan of its image that was made a minute ago."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "scans").mkdir()
    (tmp_path / "deploy" / "pod.yaml").write_text(yaml.safe_dump(POD))
    scanned(tmp_path, "trivy")
    return tmp_path


def scanned(folder: Path, name: str, **changed: object) -> None:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
    found = report(name, CreatedAt=at, **changed)
    (folder / "scans" / f"{name}.json").write_bytes(orjson.dumps(found))


def test_the_images_of_manifests_are_listed_with_their_state(folder: Path) -> None:
    done = run(folder / "deploy", "--scans", folder / "scans")
    assert done.exit_code == 1, done.output
    assert f"overdue    {IMAGE}  (1 critical, 1 low)" in done.output
    assert "bank/Pod switch" in done.output


def test_json_tells_the_same_bytes_but_for_the_time(folder: Path) -> None:
    first, second = (
        orjson.loads(run(folder / "deploy", "--scans", folder / "scans", "-o", "json").output) for _ in range(2)
    )
    first.pop("at"), second.pop("at")
    assert first == second
    assert first["images"][0]["used_by"] == [{"namespace": "bank", "workload": "Pod switch", "container": "web"}]


def test_the_images_of_some_namespaces_can_be_asked_for(folder: Path) -> None:
    done = run(folder / "deploy", "--scans", folder / "scans", "-n", "shop", "-n", "web")
    assert (done.exit_code, done.output) == (0, "0 images\n")
    done = run(folder / "deploy", "--scans", folder / "scans", "-n", "shop", "-n", "bank")
    assert "1 image: 1 overdue" in done.output


def test_without_any_report_nothing_is_known(folder: Path) -> None:
    done = run(folder / "deploy")
    assert done.exit_code == 2
    assert "no report is about it" in done.output


def test_a_broken_report_is_no_clean_image(folder: Path) -> None:
    scanned(folder, "trivy", Results=None)
    done = run(folder / "deploy", "--scans", folder / "scans")
    assert done.exit_code == 2
    assert "has no results" in done.output


@pytest.mark.parametrize(("more", "status"), [((), 1), (("--severity", "high"), 1)])
def test_the_gate_stops_a_pipeline_by_reports_alone(folder: Path, more: tuple[str, ...], status: int) -> None:
    done = run("--scans", folder / "scans", "--gate", *more)
    assert done.exit_code == status
    assert "CVE-2024-5535 (critical) in openssl 3.0.11-1, fixed in 3.0.15-1" in done.output


def test_the_gate_lets_through_what_is_accepted_until_a_date(folder: Path) -> None:
    spec = {
        "checks": ["IMG-07"], "match": {"kinds": ["Vulnerability"], "names": ["CVE-2024-5535"]},
        "reason": "unreachable", "owner": "asha", "ticket": "SEC-1", "expires": "2999-01-01",
    }  # fmt: skip
    accepted = {"apiVersion": "guard.dabbawala.dev/v1alpha1", "kind": "PolicyException", "metadata": {"name": "x"}}
    for expires, status in (("2999-01-01", 0), ("2020-01-01", 1)):
        (folder / "x.yaml").write_text(yaml.safe_dump({**accepted, "spec": {**spec, "expires": expires}}))
        done = run("--scans", folder / "scans", "--gate", "-e", folder / "x.yaml")
        assert done.exit_code == status, done.output


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What a cluster holds beside the pod when a command connects to it."""
    objects: list[dict[str, Any]] = []

    @asynccontextmanager
    async def connected(_: object) -> AsyncIterator[Client]:
        async with guarded("bank") as world:
            made = await world.client.create(core_v1.POD, POD)
            made["status"] = {"phase": "Running"}
            await world.client.update(core_v1.POD, made, subresource="status")
            await world.create(*objects)
            yield world.client

    monkeypatch.setattr(connection, "client", connected)
    return objects


def exception(name: str, *ids: str, **match: Any) -> dict[str, Any]:
    spec = {"checks": list(ids), "match": match, "reason": "unreachable", "owner": "asha", "ticket": "SEC-1"}
    meta = {"apiVersion": "guard.dabbawala.dev/v1alpha1", "kind": "PolicyException", "metadata": {"name": name}}
    return {**meta, "spec": {**spec, "expires": "2999-01-01"}}


def test_an_exception_of_the_cluster_accepts_a_vulnerability_of_a_running_image(
    folder: Path, cluster: list[dict[str, Any]]
) -> None:
    assert run("--live", "--scans", folder / "scans", "--gate").exit_code == 1
    cluster.append(exception("openssl", "IMG-07", kinds=["Vulnerability"], names=["CVE-2024-5535"]))
    done = run("--live", "--scans", folder / "scans", "--gate")
    assert done.exit_code == 0, done.output


def test_an_exception_of_the_cluster_accepts_what_a_check_finds(folder: Path, cluster: list[dict[str, Any]]) -> None:
    def accepted() -> dict[str, bool]:
        done = run("--live", "--scans", folder / "scans", "-o", "sarif")
        (log,) = orjson.loads(done.stdout)["runs"]
        failed = [result for result in log["results"] if result["kind"] == "fail"]
        return {result["ruleId"]: "suppressions" in result for result in failed}

    assert accepted()["IMG-11"] is False
    cluster.append(exception("leaks", "IMG-11", kinds=["Pod"], names=["switch"]))
    assert accepted()["IMG-11"] is True
    assert accepted()["IMG-07"] is False


def test_a_wrong_exception_of_the_cluster_counts_for_nothing_and_is_told(
    folder: Path, cluster: list[dict[str, Any]]
) -> None:
    cluster.append(exception("odd", "IMG-99", names=["switch"]))
    done = run("--live", "--scans", folder / "scans")
    assert done.exit_code == 1
    assert any(line.startswith("PolicyException odd: spec.checks[0]") for line in done.output.splitlines())


def test_the_gate_without_a_report_does_not_open(folder: Path) -> None:
    (folder / "scans" / "trivy.json").unlink()
    done = run("--scans", folder / "scans", "--gate")
    assert done.exit_code == 2
    assert "the folder has no .json" in done.output


def test_findings_of_the_checks_have_the_lines_of_the_files(folder: Path) -> None:
    done = run(folder / "deploy", "--scans", folder / "scans", "-o", "sarif")
    (log,) = orjson.loads(done.output)["runs"]
    found = {result["ruleId"]: result for result in log["results"]}
    assert {"IMG-07", "IMG-11", "IMG-12"} <= set(found)
    region = found["IMG-07"]["locations"][0]["physicalLocation"]["region"]
    assert region["startLine"] > 1


@pytest.mark.parametrize(("form", "word"), [("json", '"approved_for_production": false'), ("terminal", "rejected")])
def test_an_image_with_critical_vulnerabilities_is_rejected(folder: Path, form: str, word: str) -> None:
    done = run("approve", IMAGE, "--scans", folder / "scans", "-o", form)
    assert done.exit_code == 1
    assert word in done.output
    assert "Update openssl from 3.0.11-1 to 3.0.15-1" in done.output


TRIVY = """#!/bin/sh
cat {report}
exit 10
"""


def test_images_are_scanned_first_by_the_program_that_is_named(folder: Path) -> None:
    (folder / "trivy").write_text(TRIVY.format(report=folder / "scans" / "trivy.json"))
    (folder / "trivy").chmod(0o755)
    kept = folder / "kept"
    done = run(folder / "deploy", "--scans", kept, "--scan", "--trivy", folder / "trivy", "--every", "1h",
               "--rounds", "1")  # fmt: skip
    assert done.exit_code == 1, done.output
    (file,) = kept.rglob("*.json")
    assert file.name.startswith("bank__registry.example.com_upi-switch__2.3__")
    assert "overdue" in done.output


def test_a_cluster_that_does_not_answer_ends_its_round_and_not_the_schedule(folder: Path) -> None:
    cluster = {"name": "a", "cluster": {"server": "http://127.0.0.1:9"}}
    context = {"name": "a", "context": {"cluster": "a", "user": "a"}}
    given = {"apiVersion": "v1", "kind": "Config", "current-context": "a", "clusters": [cluster], "contexts": [context]}
    (folder / "kubeconfig").write_text(yaml.safe_dump({**given, "users": [{"name": "a", "user": {}}]}))
    done = run("--live", "--kubeconfig", folder / "kubeconfig", "--every", "1h", "--rounds", "1")
    assert done.exit_code == 2
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert "Error: " in done.output
    assert "127.0.0.1:9" in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name files, or --live"),
        (("x.yaml", "--live"), "list the images of files or, with --live, of the cluster"),
        (("x.yaml", "--scan"), "name it by --scans"),
        (("x.yaml", "--every", "1h", "--at", "02:00"), "not both"),
        (("x.yaml", "--at", "2 o'clock"), "no time of day"),
        (("x.yaml", "--deadline", "severe=1"), "name one of"),
        (("x.yaml", "--scans", "s", "--scan", "--trivy", "no-such-program"), "install Trivy"),
        (("--scans", "s", "--kev", FOLDER / "grype.json"), "cannot be believed"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: tuple[object, ...], said: str) -> None:
    done = run(*arguments)
    assert done.exit_code != 0
    assert said in done.output


# In an ordinary scan ----------------------------------------------------------------------------------------------


def scan(*arguments: object) -> Result:
    return CliRunner().invoke(dabba, ["guard", "scan", *map(str, arguments)])


def about_images(result: Result) -> list[dict[str, Any]]:
    (log,) = orjson.loads(result.stdout)["runs"]
    found = [{**row, "ruleIndex": 0} for row in log["results"] if row["ruleId"] in CHECKS]
    return sorted(found, key=lambda row: (row["ruleId"], row["message"]["text"]))


def test_a_scan_with_reports_finds_what_the_command_of_images_finds(folder: Path) -> None:
    arguments = (folder / "deploy", "--scans", folder / "scans", "--deadline", "critical=14", "-o", "sarif")
    found = about_images(scan(*arguments))
    assert found == about_images(run(*arguments))
    assert {"IMG-07", "IMG-11", "IMG-12"} <= {row["ruleId"] for row in found if row["kind"] == "fail"}
    assert about_images(scan(folder / "deploy", "-o", "sarif")) == []


def test_an_exception_for_a_vulnerability_counts_in_a_scan(folder: Path) -> None:
    accepted = exception("openssl", "IMG-07", kinds=["Vulnerability"], names=["CVE-2024-5535"])
    (folder / "accepted.yaml").write_text(yaml.safe_dump(accepted))
    arguments = (folder / "deploy", "--scans", folder / "scans", "--check", "IMG-07")
    assert scan(*arguments).exit_code == 1
    assert scan(*arguments, "-e", folder / "accepted.yaml").exit_code == 0


def test_a_scan_does_not_pass_over_a_report_that_is_broken(folder: Path) -> None:
    (folder / "scans" / "trivy.json").write_text("{")
    done = scan(folder / "deploy", "--scans", folder / "scans", "--check", "IMG-07")
    assert done.exit_code == 2
    assert "bad-image-report" in done.output
    assert "trivy.json" in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--live", "--scans", "s"), "ask `dabba guard images --live`"),
        (("x.yaml", "--watch", "--scans", "s"), "--watch follows files"),
        ((FOLDER, "--scans", FOLDER, "--kev", FOLDER / "grype.json"), "cannot be believed"),
        ((FOLDER, "--scans", FOLDER, "--deadline", "severe=1"), "name one of"),
        ((FOLDER, "--deadline", "critical=1"), "add --scans"),
    ],
)
def test_a_scan_says_what_it_cannot_do_with_reports(arguments: tuple[object, ...], said: str) -> None:
    done = scan(*arguments)
    assert done.exit_code != 0
    assert said in done.output + str(done.exception)
