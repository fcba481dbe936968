"""A clause is supported only by direct checks that passed over all that they looked at, or by a record that counts;
nothing unknown is a pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dabbawala.guard.findings import Report, Status
from dabbawala.guard.frameworks.assessment import Seen, State, state_of, together
from dabbawala.guard.frameworks.catalogue import KINDS, MACHINE, Support
from tests.guard.frameworks.given import NOW, WEB, assessed, check, clause, finding, record, result

DIRECT, PARTLY = check("A-1", ("1", "direct")), check("A-2", ("1", "partial"))
COUNTS = st.integers(0, 2)


def seen_of(strength: str, asked: bool, counted: tuple[int, int, int, int]) -> Seen:
    (control,) = check("A-1", ("1", strength)).controls
    return Seen(Support("A-1", control), asked, *counted)


SEEN = st.lists(
    st.builds(
        seen_of,
        st.sampled_from(("direct", "partial", "supporting")),
        st.just(True),
        st.tuples(COUNTS, COUNTS, COUNTS, COUNTS),
    ),
    max_size=4,
)


def test_a_direct_check_that_passes_supports_its_clause() -> None:
    found = result(Report(checks=[DIRECT, PARTLY], passed={"A-1": 3, "A-2": 1}), clause())
    assert found.state is State.SUPPORTS
    assert [each.passed for each in found.seen] == [3, 1]


def test_a_failing_check_of_any_strength_speaks_against_it_and_names_the_objects() -> None:
    report = Report([finding(PARTLY, Status.FAIL)], checks=[DIRECT, PARTLY], passed={"A-1": 3})
    assert result(report, clause()).state is State.FAILED
    assert result(report, clause()).against == (WEB,)


def test_a_policy_that_could_not_be_evaluated_counts_as_failed() -> None:
    assert result(Report([finding(DIRECT, Status.ERROR)], checks=[DIRECT]), clause()).state is State.FAILED


@pytest.mark.parametrize("strength", ["partial", "supporting"])
def test_checks_that_only_support_never_cover_a_clause(strength: str) -> None:
    only = check("A-3", ("1", strength))
    assert result(Report(checks=[only], passed={"A-3": 100}), clause()).state is State.PARTIAL


def test_a_direct_check_that_looked_at_nothing_leaves_the_clause_partial() -> None:
    other = check("A-4", ("1", "direct"))
    assert result(Report(checks=[DIRECT, other], passed={"A-1": 3}), clause()).state is State.PARTIAL


def test_what_nothing_looked_at_is_unknown() -> None:
    assert result(Report(checks=[DIRECT]), clause()).state is State.UNKNOWN
    assert result(Report(), clause()).state is State.UNKNOWN


def test_unknown_findings_are_no_pass() -> None:
    unknown = [finding(DIRECT, Status.UNKNOWN)]
    assert result(Report(unknown, checks=[DIRECT]), clause()).state is State.UNKNOWN
    assert result(Report(unknown, checks=[DIRECT], passed={"A-1": 5}), clause()).state is State.PARTIAL


def test_an_accepted_failure_is_no_pass() -> None:
    accepted = [finding(DIRECT, Status.EXCEPTED)]
    assert result(Report(accepted, checks=[DIRECT], passed={"A-1": 5}), clause()).state is State.PARTIAL
    assert result(Report(accepted, checks=[DIRECT]), clause()).state is State.FAILED


def test_a_clause_for_records_needs_one_whatever_its_checks_say() -> None:
    report = Report(checks=[DIRECT], passed={"A-1": 3})
    assert result(report, clause(kind="evidence")).state is State.NEEDS_EVIDENCE
    assert result(report, clause(kind="attestation")).state is State.NEEDS_ATTESTATION


def test_a_record_that_counts_supports_its_clause() -> None:
    about = clause(kind="evidence")
    assert result(Report(), about, record(about)).state is State.SUPPORTS


def test_a_record_does_not_outweigh_a_check_that_fails() -> None:
    about = clause(kind="evidence")
    assert result(Report([finding(DIRECT, Status.FAIL)], checks=[DIRECT]), about, record(about)).state is State.FAILED


def test_a_record_about_configuration_is_only_a_part() -> None:
    about = clause()
    assert result(Report(checks=[DIRECT]), about, record(about)).state is State.PARTIAL


@pytest.mark.parametrize(
    ("kind", "type", "age", "lasts", "reason"),
    [
        ("evidence", "evidence", 40, 30, "it expired at 2026-08-22T00:00:00Z"),
        ("evidence", "evidence", -1, 30, "it is dated in the future, 2026-09-02T00:00:00Z"),
        ("evidence", "attestation", 1, 30, "the clause asks for evidence, and nobody's word is enough"),
        ("attestation", "evidence", 1, 30, "the clause asks for an attestation, somebody's word"),
    ],
)
def test_a_record_that_does_not_count_says_why(kind: str, type: str, age: int, lasts: int, reason: str) -> None:
    about = clause(kind=kind)
    found = result(Report(), about, record(about, type, age=age, lasts=lasts))
    assert found.state in (State.NEEDS_EVIDENCE, State.NEEDS_ATTESTATION)
    assert [why for _, why in found.refused] == [reason]


def test_a_record_ends_at_its_instant_and_not_before() -> None:
    about = clause(kind="evidence")
    ends_now, ends_later = record(about, age=30, lasts=30), record(about, age=30, lasts=31)
    assert ends_now.expires == NOW
    assert result(Report(), about, ends_now).state is State.NEEDS_EVIDENCE
    assert result(Report(), about, ends_later).state is State.SUPPORTS


def test_a_record_of_another_clause_counts_for_nothing() -> None:
    one, other = clause("1", "evidence"), clause("2", "evidence")
    found = assessed(Report(), one, other, given=(record(other),))
    assert [result.state for result in found.results] == [State.NEEDS_EVIDENCE, State.SUPPORTS]


@given(SEEN, st.sampled_from(KINDS), st.booleans())
def test_what_fails_or_is_open_is_never_supported(seen: list[Seen], kind: str, recorded: bool) -> None:
    state = state_of(kind, seen, recorded=recorded)
    if any(each.failed for each in seen):
        assert state is State.FAILED
    if any(each.failed or each.unknown or each.excepted for each in seen):
        assert state is not State.SUPPORTS
    if kind == MACHINE and not any(each.direct and each.passed for each in seen):
        assert state is not State.SUPPORTS
    if kind != MACHINE and not recorded:
        assert state is not State.SUPPORTS


@given(SEEN, st.sampled_from(KINDS))
def test_a_record_never_makes_a_clause_worse(seen: list[Seen], kind: str) -> None:
    ranks = {State.FAILED: 0, State.PARTIAL: 2, State.SUPPORTS: 3}
    before, after = (ranks.get(state_of(kind, seen, recorded=recorded), 1) for recorded in (False, True))
    assert after >= before


@given(st.lists(st.sampled_from(State), min_size=1))
def test_several_clauses_together_are_supported_only_if_each_is(states: list[State]) -> None:
    found = together(states)
    assert (found is State.SUPPORTS) == (set(states) == {State.SUPPORTS})
    assert (found is State.FAILED) == (State.FAILED in states)
    assert found in (*states, State.PARTIAL)
