"""The two rules: exact at their boundaries, deterministic, and never worse for a thing put right."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dabbawala.readiness import verdict
from dabbawala.readiness.catalogue import CATEGORIES, ITEMS
from dabbawala.readiness.judgement import Judgement, Result
from dabbawala.readiness.verdict import Approval

CRITICAL = {
    "container_image_scanned", "rbi_compliance_verified", "auto_scaling_configured", "disaster_recovery_tested",
    "ssl_certificates_valid", "audit_logging_enabled",
}  # fmt: skip
HARMLESS = [item.id for item in ITEMS if not item.is_critical]
WORSE_TO_BETTER = (Result.FAIL, Result.WARN, Result.PASS)


def all_pass(**other: Result) -> dict[str, Judgement]:
    return {item.id: Judgement(other.get(item.id, Result.PASS), "") for item in ITEMS}


def with_passes(count: int, otherwise: Result = Result.FAIL) -> dict[str, Judgement]:
    """All critical items pass, and as many of the others as it takes."""
    return all_pass(**dict.fromkeys(HARMLESS[: len(ITEMS) - count], otherwise))


def test_there_are_seven_categories_of_six_and_six_critical_items() -> None:
    assert [len(category.items) for category in CATEGORIES] == [6] * 7
    assert len({item.id for item in ITEMS}) == 42
    assert {item.id for item in ITEMS if item.is_critical} == CRITICAL


@pytest.mark.parametrize(
    ("passes", "approval", "status"),
    [
        (42, Approval.APPROVED, "passed"),
        (40, Approval.APPROVED, "passed"),
        (39, Approval.CONDITIONAL, "warning"),
        (36, Approval.CONDITIONAL, "warning"),
        (35, Approval.REJECTED, "failed"),
    ],
)
@pytest.mark.parametrize("otherwise", [Result.FAIL, Result.WARN, Result.UNKNOWN])
def test_the_standard_boundaries_are_exact(passes: int, approval: Approval, status: str, otherwise: Result) -> None:
    found = verdict.decide(with_passes(passes, otherwise), verdict.STANDARD)
    assert (found.approval, found.passed, verdict.STATUS[found.approval]) == (approval, passes, status)
    assert found.score == Fraction(100 * passes, 42)


@pytest.mark.parametrize("item", sorted(CRITICAL))
@pytest.mark.parametrize("result", [Result.FAIL, Result.WARN, Result.UNKNOWN])
def test_any_critical_item_that_did_not_pass_rejects(item: str, result: Result) -> None:
    found = verdict.decide(all_pass(**{item: result}), verdict.STANDARD)
    assert (found.approval, found.passed, found.blockers) == (Approval.REJECTED, 41, (item,))


def test_percentages_are_never_rounded_up_to_a_boundary() -> None:
    assert verdict.shown(Fraction(100 * 40, 42)) == "95.2"
    assert verdict.shown(Fraction(8499999, 100000)) == "84.9"


def test_strict_goes_when_everything_passes_and_not_when_a_critical_item_is_unknown() -> None:
    assert verdict.decide(all_pass(), verdict.STRICT).word == "GO"
    found = verdict.decide(all_pass(audit_logging_enabled=Result.UNKNOWN), verdict.STRICT)
    assert (found.word, found.blockers) == ("NO-GO", ("audit_logging_enabled",))


def test_strict_counts_a_warning_half_by_weight() -> None:
    found = verdict.decide(all_pass(multi_region_deployment=Result.WARN), verdict.STRICT)
    total = sum(item.weight for item in ITEMS)
    assert found.score == Fraction(100) * (Fraction(total) - Fraction(3, 2)) / total


def test_strict_is_held_to_twenty_above_the_worst_category() -> None:
    worst = CATEGORIES[3]
    results = all_pass(**{item.id: Result.FAIL for item in worst.items})
    assert verdict.decide(results, verdict.STRICT).score == 20


def test_strict_does_not_go_on_evidence_that_is_too_old() -> None:
    results = all_pass() | {"log_aggregation_setup": Judgement(Result.UNKNOWN, "", stale=True)}
    found = verdict.decide(results, verdict.STRICT)
    assert found.word == "NO-GO"
    assert "the evidence for log_aggregation_setup is too old" in found.reasons


def test_strict_is_conditional_when_only_exceptions_stand_between() -> None:
    some = {"alerting_rules_defined": Result.FAIL, "grafana_dashboards_created": Result.FAIL}
    results = all_pass(**some)
    assert verdict.decide(results, verdict.STRICT, set(some)).word == "CONDITIONAL"
    assert verdict.decide(results, verdict.STRICT, {"distributed_tracing_enabled"}).word == "NO-GO"
    assert verdict.decide(results, verdict.STRICT).word == "NO-GO"


def test_no_exception_helps_below_75_or_against_evidence_that_is_too_old() -> None:
    monitoring = {item.id: Result.FAIL for item in CATEGORIES[3].items}
    low = all_pass(**monitoring)
    assert verdict.decide(low, verdict.STRICT).score == 20
    assert verdict.decide(low, verdict.STRICT, set(monitoring)).word == "NO-GO"
    old = all_pass() | {"log_aggregation_setup": Judgement(Result.UNKNOWN, "", stale=True)}
    assert verdict.decide(old, verdict.STRICT, {"log_aggregation_setup"}).word == "NO-GO"


def test_nobody_may_except_a_critical_item() -> None:
    found = verdict.decide(all_pass(audit_logging_enabled=Result.FAIL), verdict.STRICT, {"audit_logging_enabled"})
    assert found.word == "NO-GO"


results_of_all = st.fixed_dictionaries({item.id: st.sampled_from(list(Result)) for item in ITEMS})


@settings(max_examples=200)
@given(results_of_all, st.sampled_from(ITEMS), st.sampled_from(verdict.PROFILES))
def test_putting_one_item_right_never_lowers_score_nor_verdict(results: dict[str, Result], item, profile: str) -> None:  # type: ignore[no-untyped-def]
    order = list(Approval)[::-1]
    before = {name: Judgement(result, "") for name, result in results.items()}
    for better in WORSE_TO_BETTER[1:]:
        if verdict.POINTS[better] < verdict.POINTS[before[item.id].result]:
            continue
        after = {**before, item.id: Judgement(better, "")}
        old, new = verdict.decide(before, profile), verdict.decide(after, profile)
        assert new.score >= old.score
        assert order.index(new.approval) >= order.index(old.approval)


@settings(max_examples=50)
@given(results_of_all, st.randoms(use_true_random=False))
def test_the_order_of_results_does_not_matter(results: dict[str, Result], dice: random.Random) -> None:
    names = list(results)
    dice.shuffle(names)
    one = {name: Judgement(results[name], "") for name in results}
    other = {name: Judgement(results[name], "") for name in names}
    for profile in verdict.PROFILES:
        assert verdict.decide(one, profile) == verdict.decide(other, profile)
