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


@pytest.mark.parametrize("check_id", cases.ids())
def test_every_check_has_three_good_and_three_bad_cases_each_with_a_reason_of_its_own(check_id: str) -> None:
    found = cases.read(check_id)
    for good in (True, False):
        same = [case for case in found if case.good is good]
        assert len({case.why for case in same}) == len(same) >= LEAST_CASES


@pytest.mark.parametrize("check_id", NATIVE)
def test_expressions_compile_with_the_functions_of_1_30(check_id: str) -> None:
    assert not list(engine(check_id).faults)


@pytest.mark.parametrize("check_id", NATIVE)
def test_good_cases_pass_and_bad_cases_fail(check_id: str) -> None:
    for case in cases.read(check_id):
        for request in (form for obj in case.objects for form in forms(obj)):
            said = judge(check_id, request)
            if case.good:
                assert not said.findings, (str(case), said.findings[0].message)
                continue
            assert [finding.status for finding in said.findings] == [Status.FAIL], str(case)
            if case.fields is not None:
                named = {said.findings[0].place.field, *(place.field for place in said.findings[0].also)}
                assert named == set(case.fields), str(case)
