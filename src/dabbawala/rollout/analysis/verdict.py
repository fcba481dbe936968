"""What measurements mean: one measurement's phase, a metric's, and the run's.

Each question is a table or an ordered chain, and each answer carries its reason. "Could not measure" is an Error,
never a pass. Source: Argo Rollouts, analysis/analysis.go and utils/evaluate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dabbawala.apimachinery.meta import Object
from dabbawala.rollout.analysis import evaluation
from dabbawala.rollout.analysis.expression import BadExpression

SUCCESSFUL, FAILED, ERROR, INCONCLUSIVE = "Successful", "Failed", "Error", "Inconclusive"
RUNNING, PENDING = "Running", "Pending"
FINISHED = frozenset({SUCCESSFUL, FAILED, ERROR, INCONCLUSIVE})
WORSE = {SUCCESSFUL: 0, RUNNING: 1, PENDING: 2, INCONCLUSIVE: 3, ERROR: 4, FAILED: 5}

CONSECUTIVE_ERROR_LIMIT = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    phase: str
    message: str = ""


def measured(metric: Object, result: Any) -> Verdict:
    """The phase of one measurement, from its two conditions."""
    success, failure = metric.get("successCondition") or "", metric.get("failureCondition") or ""
    try:
        failed = bool(failure) and evaluation.condition(failure, result)
        passed = bool(success) and evaluation.condition(success, result)
    except BadExpression as wrong:
        return Verdict(ERROR, str(wrong))
    return Verdict(_by_conditions(bool(success), bool(failure), passed, failed))


def _by_conditions(has_success: bool, has_failure: bool, passed: bool, failed: bool) -> str:
    table = {
        (False, False): SUCCESSFUL,
        (True, False): SUCCESSFUL if passed else FAILED,
        (False, True): FAILED if failed else SUCCESSFUL,
        (True, True): FAILED if failed else SUCCESSFUL if passed else INCONCLUSIVE,
    }
    return table[has_success, has_failure]


def number(metric: Object, field: str, otherwise: int) -> int:
    """An int-or-string of a metric whose arguments have been resolved."""
    given = metric.get(field)
    return otherwise if given is None or given == "" else int(given)


def effective_count(metric: Object) -> int | None:
    """Measurements to take; None for as long as the run lasts."""
    return number(metric, "count", 0) or (None if metric.get("interval") else 1)


def metric_verdict(metric: Object, result: Object, *, terminating: bool) -> Verdict:
    """Where a metric stands, from its counters."""
    if result.get("phase") in FINISHED:
        return Verdict(str(result["phase"]), str(result.get("message") or ""))
    taken = result.get("measurements") or []
    if not taken:
        return Verdict(SUCCESSFUL if terminating else PENDING)
    if not taken[-1].get("finishedAt"):
        return Verdict(RUNNING)
    bad = _over_a_limit(metric, result)
    if bad is not None:
        return bad
    good = number(metric, "consecutiveSuccessLimit", 0)
    if good > 0 and int(result.get("consecutiveSuccess") or 0) >= good:
        return Verdict(SUCCESSFUL)
    wanted = effective_count(metric)
    if wanted is not None and int(result.get("count") or 0) >= wanted:
        return _at_the_end(metric, good)
    return Verdict(SUCCESSFUL if terminating else RUNNING)


def _at_the_end(metric: Object, success_limit: int) -> Verdict:
    """All measurements are taken, and no limit was passed."""
    if success_limit <= 0:
        return Verdict(SUCCESSFUL)
    if number(metric, "failureLimit", 0) >= 0 and metric.get("failureLimit") is not None:
        return Verdict(INCONCLUSIVE, "neither failureLimit nor consecutiveSuccessLimit was reached")
    return Verdict(FAILED, f"consecutiveSuccessLimit ({success_limit}) was not reached")


def _over_a_limit(metric: Object, result: Object) -> Verdict | None:
    """The last limit passed, in Argo's order: a later one overrides."""
    found: Verdict | None = None
    limits = (
        (FAILED, "failed", "failed", "failureLimit", 0),
        (INCONCLUSIVE, "inconclusive", "inconclusive", "inconclusiveLimit", 0),
        (ERROR, "consecutiveError", "consecutiveErrors", "consecutiveErrorLimit", CONSECUTIVE_ERROR_LIMIT),
    )
    for phase, counter, word, field, otherwise in limits:
        limit, count = number(metric, field, otherwise), int(result.get(counter) or 0)
        if 0 <= limit < count:
            text = f'Metric "{metric.get("name")}" assessed {phase} due to {word} ({count}) > {field} ({limit})'
            last = (result.get("measurements") or [{}])[-1].get("message")
            found = Verdict(phase, f'{text}: "Error Message: {last}"' if phase == ERROR and last else text)
    return found


def worst(phases: Iterable[str]) -> str:
    """The worst of several phases; Successful of none."""
    return max(phases, key=lambda phase: WORSE.get(phase, 0), default=SUCCESSFUL)


def counted(result: Object, phase: str) -> Object:
    """The counters of a metric after one more finished measurement. Errors do not use up the count."""
    fields = {SUCCESSFUL: "successful", FAILED: "failed", INCONCLUSIVE: "inconclusive", ERROR: "error"}
    field = fields[phase]
    after = {**result, field: int(result.get(field) or 0) + 1}
    if phase != ERROR:
        after["count"] = int(result.get("count") or 0) + 1
    after["consecutiveError"] = int(result.get("consecutiveError") or 0) + 1 if phase == ERROR else 0
    after["consecutiveSuccess"] = int(result.get("consecutiveSuccess") or 0) + 1 if phase == SUCCESSFUL else 0
    return {name: value for name, value in after.items() if value != 0 or name in ("name", "phase")}
