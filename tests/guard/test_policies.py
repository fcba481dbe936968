"""Every check says of its good cases that they are good, and finds its bad ones, as written and as defaulted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import orjson
import pytest

from dabbawala.apimachinery.meta import Object
from dabbawala.guard import checks, requests
from dabbawala.guard.defaulting import Preparation
from dabbawala.guard.documents import read as read_documents
from dabbawala.guard.engine import Engine, Judgement
from dabbawala.guard.findings import Place, Status
from dabbawala.policy.matching import Request
from tests.guard import cases

LEAST_CHECKS = 150
LEAST_NATIVE = 85
LEAST_CASES = 3
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NATIVE = [name for name, check in checks.shipped().items() if check.native]


@cache
def engine(check_id: str) -> Engine:
    return Engine([checks.shipped()[check_id]], now=NOW)


def judge(check_id: str, request: Request) -> Judgement:
    return engine(check_id).judge(request, None, lambda field: Place("case", 1, 1, 1, field))


def forms(obj: Object) -> Iterator[Request]:
    """The object as it was written, and as the API server completes it."""
    (document,) = read_documents("case.yaml", orjson.dumps(obj)).documents
    prepared = Preparation().prepare(document)
    assert prepared.object is not None
    assert prepared.valid, prepared.problems
    defaulted = requests.creating(prepared.object, prepared.resource)
    yield replace(defaulted, object=obj, memo={})
    yield defaulted


def test_every_check_has_its_cases_and_every_case_its_check() -> None:
    assert set(cases.ids()) == set(checks.shipped())


def test_there_are_as_many_checks_as_were_asked_for_and_each_says_what_it_supports() -> None:
    assert len(checks.shipped()) >= LEAST_CHECKS
    assert len(NATIVE) >= LEAST_NATIVE
    assert not [name for name, check in checks.shipped().items() if not (check.rationale and check.controls)]


@pytest.mark.parametrize("check_id", cases.ids())
def test_every_check_has_three_good_and_three_bad_cases_each_with_a_reason_of_its_own(check_id: str) -> None:
    found = cases.read(check_id)
    for good in (True, False):
        same = [case for case in found if case.good is good]
        assert len({case.why for case in same}) == len(same) >= LEAST_CASES
    asked = [repr((case.objects, case.text, case.whole, case.reports, case.exploited)) for case in found]
    assert len(set(asked)) == len(found)


@pytest.mark.parametrize("check_id", NATIVE)
def test_expressions_compile_with_the_functions_of_1_30(check_id: str) -> None:
    assert not list(engine(check_id).faults)


@pytest.mark.parametrize("check_id", NATIVE)
def test_good_cases_pass_and_bad_cases_fail(check_id: str) -> None:
    looked_at: list[bool] = []
    for case in cases.read(check_id):
        for request in (form for obj in case.objects for form in forms(obj)):
            said = judge(check_id, request)
            if case.good:
                assert not said.findings, (str(case), said.findings[0].message)
                looked_at.append(bool(said.passed))
                continue
            assert [finding.status for finding in said.findings] == [Status.FAIL], str(case)
            if case.fields is not None:
                named = {said.findings[0].place.field, *(place.field for place in said.findings[0].also)}
                assert named == set(case.fields), str(case)
            assert said.findings[0].place.field, str(case)
            assert said.findings[0].message, str(case)
            assert not said.findings[0].message.startswith("failed expression"), str(case)
    assert looked_at.count(True) >= 2 * LEAST_CASES, "good cases that the check passes over prove nothing"


@pytest.mark.parametrize(
    ("check_id", "why", "message"),
    [
        ("KEDA-04", "a number", "a trigger cannot work (cpu: value is no text): write it, as text"),
        ("KEDA-05", "the wrong way round", "from 20 to 5 replicas there is nothing to scale"),
        ("PG-07", "not defined", "no entry of externalClusters is called mumbai"),
    ],
)
def test_a_message_names_what_is_wrong_and_names_it_once(check_id: str, why: str, message: str) -> None:
    (case,) = [case for case in cases.read(check_id) if case.why == why]
    written, _ = forms(case.objects[0])
    said = judge(check_id, written).findings[0].message
    assert said.startswith(message)
    assert "," not in said.removeprefix(message).partition(":")[0]
