"""Every check of more than one object says of its good cases that they are good, and finds in the bad ones what they
name, no more and no less; and says that it cannot tell where it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import orjson
import pytest

from dabbawala.guard import checks, embedding, readers, scanning
from dabbawala.guard.engine import Engine
from dabbawala.guard.findings import Report, Status
from dabbawala.guard.images import reading
from dabbawala.guard.images.archive import Archive
from dabbawala.guard.images.state import Reports
from dabbawala.guard.images.terms import Exploits, Terms
from dabbawala.guard.world import World
from dabbawala.policy.admission import CompiledPolicy
from dabbawala.policy.matching import Request
from dabbawala.policy.scope import Surroundings
from dabbawala.policy.verdicts import Verdict
from tests.guard import cases
from tests.guard.cases import Case
from tests.guard.test_policies import LEAST_CASES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORDINARY: dict[str, Any] = {"containers": [{"name": "web", "image": "registry.example.com/web:1", "command": ["web"]}]}
OF_THE_CLUSTER = [
    *(name for name in checks.shipped() if name.startswith(("CP-", "NODE-"))), "GOV-14", "LOG-01", "LOG-03", "LOG-05",
    "LOG-06", "RBAC-22", "RUN-08", "SEC-05", "SEC-06",
]  # fmt: skip
"""How the cluster itself is set up, which most objects say nothing of."""
OWN = [name for name, check in checks.shipped().items() if not check.native]
SEVERAL = [name for name, check in checks.shipped().items() if len(check.spec["validations"]) > 1]
"""Checks that find more than one thing, so that a bad case of one leaves the others unproven."""


@cache
def engine(check_id: str) -> Engine:
    return Engine([checks.shipped()[check_id]], now=NOW)


def scanned(case: Case) -> Report:
    """What a scan of the case's objects says, with the check alone."""
    text = case.text.encode() or b"\n---\n".join(orjson.dumps(obj) for obj in case.objects)
    report = Report()
    documents = list(readers.documents_of(embedding.read(case.file, text), report))
    known = scanning.inventory_of(documents, report)
    assert not report.problems, (str(case), report.problems)
    assert case.text or not any(document.faults for document in documents), str(case)
    world = World(known, now=NOW, whole=case.whole, images=images(case))
    scanning.judge(world, engine(case.check), report)
    return report


def images(case: Case) -> Reports | None:
    """What is known of images in the case."""
    if case.reports is None:
        return None
    found = [one for n, each in enumerate(case.reports) for one in reading.records(orjson.dumps(each), f"{n}.json")]
    exploits = Exploits(None if case.exploited is None else frozenset(case.exploited))
    return Reports(Archive(found), Terms(exploits=exploits))


@cache
def reports(check_id: str) -> list[tuple[Case, Report]]:
    return [(case, scanned(case)) for case in cases.read(check_id)]


@pytest.mark.parametrize("check_id", OWN)
def test_expressions_compile(check_id: str) -> None:
    assert not [fault for _, fault in engine(check_id).faults]


@pytest.mark.parametrize("check_id", OWN)
def test_good_cases_pass_and_bad_cases_name_their_subjects(check_id: str) -> None:
    for case, report in reports(check_id):
        said = {(str(finding.subject), finding.status): finding.message for finding in report.findings}
        if case.text and case.flags is None:
            assert {status for _, status in said} == (set() if case.good else {Status.FAIL}), (str(case), said)
            lines = {place.line for finding in report.findings for place in (finding.place, *finding.also)}
            assert case.lines is None or lines == set(case.lines), (str(case), lines)
            continue
        if not case.good and case.flags is None and not case.unknown:
            assert [status for _, status in said] == [Status.FAIL] * len(case.objects), (str(case), said)
            continue
        expected = {(subject, Status.FAIL) for subject in case.flags or ()}
        expected |= {(subject, Status.UNKNOWN) for subject in case.unknown}
        assert set(said) == expected, (str(case), said)
        assert bool(expected) is not case.good, str(case)
        assert case.good or len(said) == len(report.findings), str(case)


@pytest.mark.parametrize("check_id", OWN)
def test_three_good_cases_are_about_something_that_the_check_looks_at_and_three_bad_ones_are_surely_bad(
    check_id: str,
) -> None:
    found = reports(check_id)
    passed = [case for case, report in found if case.good and report.passed.get(check_id)]
    failed = [case for case, report in found if any(finding.status is Status.FAIL for finding in report.findings)]
    assert len(passed) >= LEAST_CASES
    assert len(failed) >= LEAST_CASES


@pytest.mark.parametrize("check_id", OWN)
def test_bad_cases_name_the_fields_that_are_at_fault(check_id: str) -> None:
    for case, report in reports(check_id):
        named = {place.field for finding in report.findings for place in (finding.place, *finding.also)}
        assert case.fields is None or named == set(case.fields), (str(case), named)


@pytest.mark.parametrize("check_id", SEVERAL)
def test_whatever_a_check_can_say_it_says_of_a_bad_case(check_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said: set[int] = set()
    examine = CompiledPolicy.examine

    def examining(policy: CompiledPolicy, seen: Request, around: Surroundings) -> tuple[Verdict, Mapping[str, Any]]:
        verdict, values = examine(policy, seen, around)
        said.update(number for number, outcome in enumerate(verdict.outcomes) if outcome.result == "fail")
        return verdict, values

    monkeypatch.setattr(CompiledPolicy, "examine", examining)
    for case in cases.read(check_id):
        scanned(case)
    assert said == set(range(len(checks.shipped()[check_id].spec["validations"])))


def test_objects_that_say_nothing_of_the_cluster_itself_are_no_evidence_of_how_it_is_set_up() -> None:
    metadata = {"name": "web", "namespace": "shop"}
    objects = (
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": ORDINARY},
        {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": ORDINARY},
        }},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mode": "fast"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"user": "shop"}},
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}},
    )  # fmt: skip
    for check_id in OF_THE_CLUSTER:
        report = scanned(Case(check_id, "nothing of it", True, objects, None, None))
        assert not report.passed, check_id
        assert not report.findings, check_id


@pytest.mark.parametrize("check_id", OWN)
def test_findings_are_placed_on_a_field_of_their_object(check_id: str) -> None:
    for case, report in reports(check_id):
        for finding in report.findings:
            assert finding.place.file == case.file, (str(case), finding.place)
            assert finding.message
            assert "\n" not in finding.message
            assert not finding.message.startswith("failed expression"), finding.message
