"""Every form of a report says the same, says it twice alike, and is what readers of that form expect."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import orjson
import pytest
import yaml

from dabbawala.cli import guard as command
from dabbawala.guard import checks, scanning
from dabbawala.guard.findings import Place, Report
from dabbawala.guard.outputs import as_json, as_policy_report, as_terminal
from dabbawala.timeseries import exposition

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BINARY = [name for name in command.FORMATS if name != command.TERMINAL]
MANIFEST = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  containers:
    - name: web
      image: registry.example.com/web:1
      securityContext:
        privileged: true
---
apiVersion: v1
kind: Pod
metadata: {name: "quiet", namespace: shop}
spec:
  containers:
    - {name: quiet, image: registry.example.com/quiet:1}
"""
EXCEPTION = """\
apiVersion: guard.dabbawala.dev/v1alpha1
kind: PolicyException
metadata: {name: known}
spec:
  checks: [WL-05]
  match: {namespaces: [shop], names: [quiet]}
  reason: moves to the new image in January
  owner: shop-team@example.com
  ticket: SHOP-7
  expires: "2026-02-01"
"""


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "web.yaml").write_text(MANIFEST)
    (tmp_path / "broken.yaml").write_text("kind: [\n")
    (tmp_path / "known.yaml").write_text(EXCEPTION)
    chosen = [checks.shipped()[name] for name in ("WL-01", "WL-05")]
    return scanning.of_paths(["web.yaml", "broken.yaml"], chosen, [Path("known.yaml")], now=NOW)


def test_the_report_knows_what_failed_what_passed_and_what_was_accepted(report: Report) -> None:
    summary = as_json.summary(report)
    counts = {name: summary[name] for name in ("files", "objects", "failed", "excepted", "passed", "problems")}
    assert counts == {"files": 2, "objects": 2, "failed": 2, "excepted": 1, "passed": 1, "problems": 1}


def test_findings_lead_to_the_line_of_the_field(report: Report) -> None:
    found = {(item.check.id, item.subject.name): (item.place.line, item.place.field) for item in report.findings}
    assert found["WL-01", "web"] == (9, "spec.containers[web].securityContext.privileged")
    assert found["WL-05", "web"][0] == 8


@pytest.mark.parametrize("name", BINARY)
def test_equal_reports_give_equal_bytes(report: Report, name: str) -> None:
    assert command.rendered(report, name) == command.rendered(report, name)


def test_sarif_names_rule_line_and_the_accepted_exception(report: Report) -> None:
    (run,) = orjson.loads(command.rendered(report, "sarif"))["runs"]
    by_subject = {(row["ruleId"], row["message"]["text"].split(":")[0]): row for row in run["results"]}
    privileged = by_subject["WL-01", "Pod shop/web"]
    location = privileged["locations"][0]["physicalLocation"]
    assert location == {"artifactLocation": {"uri": "web.yaml"}, "region": {"startLine": 9, "startColumn": 9}}
    assert run["tool"]["driver"]["rules"][privileged["ruleIndex"]]["id"] == "WL-01"
    assert by_subject["WL-05", "Pod shop/quiet"]["suppressions"][0]["status"] == "accepted"
    assert run["invocations"][0]["executionSuccessful"] is False


def test_code_quality_names_path_line_and_severity_of_failures_and_of_what_cannot_be_read(report: Report) -> None:
    issues = orjson.loads(command.rendered(report, "code-quality"))
    told = [(issue["check_name"][:5], issue["severity"], *issue["location"].values()) for issue in issues]
    assert told == [
        ("WL-05", "critical", "web.yaml", {"begin": 8}),
        ("WL-01", "blocker", "web.yaml", {"begin": 9}),
        ("yaml-", "blocker", "broken.yaml", {"begin": 2}),
    ]
    assert all(issue.keys() == {"description", "check_name", "severity", "location", "fingerprint"} for issue in issues)


def test_fingerprints_stay_when_lines_move_and_no_two_are_equal(report: Report) -> None:
    before = [issue["fingerprint"] for issue in orjson.loads(command.rendered(report, "code-quality"))]
    moved = [item._replace(place=item.place._replace(line=item.place.line + 7)) for item in report.findings]
    report.findings[:] = [*moved, *moved]
    after = [issue["fingerprint"] for issue in orjson.loads(command.rendered(report, "code-quality"))]
    assert set(before) < set(after)
    assert len(set(after)) == len(after) == 5


def test_a_report_without_issues_is_an_empty_list_and_what_has_no_file_is_named(report: Report) -> None:
    assert command.rendered(Report(), "code-quality") == b"[]\n"
    live = Report(findings=[report.findings[0]._replace(place=Place(field="spec"))])
    (issue,) = orjson.loads(command.rendered(live, "code-quality"))
    assert issue["location"] == {"path": "Pod shop/web", "lines": {"begin": 1}}


def test_junit_counts_failures_and_errors(report: Report) -> None:
    root = ElementTree.fromstring(command.rendered(report, "junit"))
    assert {name: root.get(name) for name in ("tests", "failures", "errors")} == {
        "tests": "5", "failures": "2", "errors": "1",
    }  # fmt: skip
    assert len(root.findall(".//testcase/failure")) == 2
    assert [node.get("message") for node in root.findall(".//testcase/skipped")] == [
        "moves to the new image in January (known: shop-team@example.com, SHOP-7, until 2026-02-02T00:00:00Z)"
    ]


def test_policy_reports_are_one_for_each_namespace(report: Report) -> None:
    _, found = yaml.safe_load_all(command.rendered(report, "policy-report"))
    assert (found["kind"], found["metadata"]["namespace"]) == ("PolicyReport", "shop")
    assert found["metadata"]["annotations"] == {"guard.dabbawala.dev/checks": "WL-01,WL-05"}
    assert found["summary"] == {"pass": 1, "fail": 2, "warn": 0, "error": 0, "skip": 1}


def test_where_nothing_failed_a_policy_report_says_what_passed() -> None:
    (found,) = as_policy_report.objects(Report(passed_in={"shop": 3}))
    assert (found["metadata"]["namespace"], found["summary"]["pass"], found["results"]) == ("shop", 3, [])


def test_a_long_policy_report_goes_on_in_another_object_and_counts_passes_once(report: Report) -> None:
    long = report.findings[0]._replace(message="x" * 400_000)
    report.findings[:] = [long] * 5
    report.passed_in = {"shop": 7}
    _, *found = as_policy_report.objects(report)
    assert [item["metadata"]["name"] for item in found] == ["dabbawala-guard", "dabbawala-guard-2", "dabbawala-guard-3"]
    assert [item["summary"]["pass"] for item in found] == [7, 0, 0]
    assert sum(len(item["results"]) for item in found) == 5
    assert all(len(orjson.dumps(item)) < 1_100_000 for item in found)


def test_metrics_are_what_prometheus_reads(report: Report) -> None:
    samples = list(exposition.parse(command.rendered(report, "metrics").decode()))
    values = {tuple(value for _, value in sample.labels): sample.value for sample in samples}
    assert values["dabbawala_guard_findings", "WL-01", "shop", "critical", "fail"] == 1
    assert values["dabbawala_guard_problems",] == 1


def test_the_page_shows_every_finding_and_escapes_what_it_shows(report: Report) -> None:
    report.findings[0] = report.findings[0]._replace(message="<script>alert(1)</script>")
    page = command.rendered(report, "html").decode()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert page.count("WL-05") >= 3


def test_a_person_sees_file_line_check_and_what_is_accepted(report: Report) -> None:
    lines = [line.strip() for line in as_terminal.render(report)]
    assert "web.yaml  Pod shop/web" in lines
    assert any(line.startswith("9  ✖ critical  WL-01  container web is privileged") for line in lines)
    assert any(line.startswith("accepted: moves to the new image") for line in lines)
    assert (
        lines[-1]
        == "2 files, 2 objects, 2 checks: 1 critical, 1 high, 1 accepted by exceptions, 1 unreadable; 1 passed"
    )


def test_lines_are_as_wide_as_the_terminal_and_colored_there_only(report: Report) -> None:
    narrow = list(as_terminal.render(report, as_terminal.Style(width=60)))
    wide = list(as_terminal.render(report))
    assert max(map(len, narrow[:-1])) <= 60 < max(map(len, wide[:-1]))
    assert "".join("".join(narrow).split()) == "".join("".join(wide).split())
    assert not any("\x1b" in line for line in narrow)
    assert any("\x1b[1;31m✖ critical" in line for line in as_terminal.render(report, as_terminal.Style(color=True)))


def test_what_would_steer_a_terminal_is_shown_instead(report: Report) -> None:
    report.findings[0] = report.findings[0]._replace(message="a\x1b[2Jb\nc")
    assert any("a\\x1b[2Jb\\x0ac" in line for line in as_terminal.render(report, as_terminal.Style(color=True)))


def test_the_exit_status_is_that_of_the_worst(report: Report) -> None:
    any_failure, criticals = (command.Asked((), (), (), severity) for severity in ("low", "critical"))
    assert any_failure.status(report) == command.UNKNOWN
    report.problems.clear()
    assert any_failure.status(report) == command.NO
    report.findings = [item for item in report.findings if item.check.severity != "critical"]
    assert criticals.status(report) == command.YES
