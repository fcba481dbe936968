"""What a server would refuse or drop is a finding; only what cannot be read is a problem."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from dabbawala.cli.guard import guard
from dabbawala.guard import checks, scanning
from dabbawala.guard.findings import Report

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BUDGET = """\
apiVersion: policy/v1beta1
kind: PodDisruptionBudget
metadata: {name: a, namespace: b}
spec: {minAvailable: 1, selector: {matchLabels: {a: b}}}
"""


def scanned(folder: Path, text: str, *ids: str, target: tuple[int, int] | None = None) -> Report:
    file = folder / "a.yaml"
    file.write_text(text)
    return scanning.of_paths([str(file)], [checks.shipped()[name] for name in ids], now=NOW, target=target)


@pytest.mark.parametrize(
    ("text", "check", "line"),
    [
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndatta: {a: b}\n", "YAML-01", 4),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a: true\n", "YAML-02", 5),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels: {a: 1}\ndata: {}\n", "YAML-02", 5),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: A_b}\n", "YAML-03", 3),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a: b\n  a: c\n", "YAML-04", 6),
    ],
)
def test_a_manifest_that_is_wrong_is_a_finding_at_its_line(tmp_path: Path, text: str, check: str, line: int) -> None:
    report = scanned(tmp_path, text, "YAML-01", "YAML-02", "YAML-03", "YAML-04")
    assert not report.problems
    assert [(finding.check.id, finding.place.line) for finding in report.findings] == [(check, line)]


def test_other_checks_still_judge_an_object_with_a_label_that_is_none(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {v: 1}}\nspec: {hostPID: true, containers: []}\n"
    assert [finding.check.id for finding in scanned(tmp_path, text, "WL-02").findings] == ["WL-02"]


def test_what_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    report = scanned(tmp_path, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: [\n", "YAML-01")
    assert [problem.place.line for problem in report.problems] == [4]
    assert not report.findings


@pytest.mark.parametrize(
    ("target", "said"),
    [((1, 20), ""), ((1, 24), "deprecated since 1.21"), ((1, 25), "removed since 1.25"), (None, "removed")],
)
def test_a_version_is_gone_or_not_by_the_release_that_it_is_for(
    tmp_path: Path, target: tuple[int, int] | None, said: str
) -> None:
    found = scanned(tmp_path, BUDGET, "GOV-13", target=target).findings
    assert [said in finding.message for finding in found] == ([True] if said else [])


def test_the_release_is_an_option_of_a_scan(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(BUDGET)
    asked = ["scan", str(tmp_path), "-c", "GOV-13", "--kubernetes-version"]
    assert CliRunner().invoke(guard, [*asked, "1.20"]).exit_code == 0
    assert CliRunner().invoke(guard, [*asked, "v1.25.3"]).exit_code == 1
    wrong = CliRunner().invoke(guard, [*asked, "new"])
    assert wrong.exit_code == 2
    assert "write it as 1.30" in wrong.output
