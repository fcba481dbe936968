"""An exception covers what it names, until it ends, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dabbawala.guard import exceptions

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "batch-17", "namespace": "settlement", "labels": {"tier": "legacy"}},
}


def written(**spec: Any) -> dict[str, Any]:
    complete = {
        "checks": ["WL-27"],
        "match": {"namespaces": ["settlement"]},
        "reason": "writes to its image until it is rebuilt",
        "owner": "settlement@example.com",
        "ticket": "OPS-12",
        "expires": "2026-03-31",
    }
    return {
        "apiVersion": "guard.dabbawala.dev/v1alpha1",
        "kind": "PolicyException",
        "metadata": {"name": "legacy"},
        "spec": complete | spec,
    }


@pytest.mark.parametrize(
    ("match", "covers"),
    [
        ({"namespaces": ["settlement"]}, True),
        ({"namespaces": ["settle*"]}, True),
        ({"namespaces": ["search"]}, False),
        ({"names": ["batch-*"]}, True),
        ({"names": ["batch"]}, False),
        ({"kinds": ["Pod", "Job"]}, True),
        ({"kinds": ["Deployment"]}, False),
        ({"selector": {"matchLabels": {"tier": "legacy"}}}, True),
        ({"selector": {"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}}, False),
        ({"namespaces": ["settlement"], "kinds": ["Deployment"]}, False),
    ],
)
def test_all_that_an_exception_names_must_hold(match: dict[str, Any], covers: bool) -> None:
    found = exceptions.of(written(match=match))
    assert found.covers("WL-27", POD) is covers
    assert not found.covers("WL-01", POD)


def test_a_date_means_its_end_and_an_instant_itself() -> None:
    assert exceptions.of(written()).expires == datetime(2026, 4, 1, tzinfo=UTC)
    exact = exceptions.of(written(expires="2026-03-31T18:00:00+05:30"))
    assert exact.expires == datetime(2026, 3, 31, 12, 30, tzinfo=UTC)


def test_what_has_ended_accepts_nothing_and_is_remembered() -> None:
    found = exceptions.of(written())
    assert exceptions.accepting([found], "WL-27", POD, JANUARY) is found
    assert exceptions.accepting([found], "WL-27", POD, found.expires) is None
    assert exceptions.expired([found], "WL-27", POD, found.expires) is found


def test_of_several_the_one_that_lasts_longest_is_named() -> None:
    short, long = exceptions.of(written(expires="2026-02-01")), exceptions.of(written(expires="2026-05-01"))
    assert exceptions.accepting([long, short], "WL-27", POD, JANUARY) is long


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"expires": "soon"}, "spec.expires"),
        ({"expires": ""}, "spec.expires"),
        ({"match": {}}, "spec.match"),
        ({"match": {"names": ["*"]}}, "spec.match.names[0]"),
        ({"match": {"names": ["a*b"]}}, "spec.match.names[0]"),
        ({"match": {"selector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}}}, "spec.match.selector"),
    ],
)
def test_what_is_no_exception_is_refused_by_its_field(wrong: dict[str, Any], field: str) -> None:
    assert [error.field for error in exceptions.wrong_with(written(**wrong))] == [field]


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (["WL-27", "WL-999"], "no such check"),
        (["SEC-03"], "may never be excepted"),
        (["WL-27", "SEC-14"], "may never be excepted"),
    ],
)
def test_what_is_no_check_or_may_never_be_excepted_makes_the_exception_wrong(ids: list[str], said: str) -> None:
    (error,) = exceptions.wrong_with(written(checks=ids))
    assert error.field == f"spec.checks[{len(ids) - 1}]"
    assert said in error.message


def test_a_name_that_is_made_up_later_is_covered_by_its_beginning() -> None:
    generated = {**POD, "metadata": {**POD["metadata"], "name": "", "generateName": "batch-"}}
    assert exceptions.of(written(match={"names": ["batch-*"]})).covers("WL-27", generated)
    assert not exceptions.of(written(match={"names": ["batch-17"]})).covers("WL-27", generated)


def test_an_end_counts_to_the_second_and_must_be_one() -> None:
    assert exceptions.of(written(expires="2026-03-31T12:00:00.9Z")).expires == datetime(2026, 3, 31, 12, tzinfo=UTC)
    assert [error.field for error in exceptions.wrong_with(written(expires="9999-12-31"))] == ["spec.expires"]
