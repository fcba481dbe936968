"""From 42 results to one verdict, by one of two rules. Pure, and made of whole numbers wherever a boundary is.

*standard*: any critical item that did not pass rejects; otherwise 95 % of passes approve and 85 % approve on
conditions: of 42 that is 40 and 36. Source: scenario S063.

*strict*: a warning counts half, an item by its weight. The overall score is at most 20 above the worst category. NO-GO
when a critical item fails or is unknown, when evidence is too old, or below 75, whatever is excepted; GO from 85 with
every category at 70; CONDITIONAL when only dated exceptions, which somebody owns, stand between; otherwise NO-GO.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from dabbawala.readiness.catalogue import CATEGORIES, ITEMS
from dabbawala.readiness.judgement import Category, Item, Judgement, Result

STANDARD, STRICT = "standard", "strict"
PROFILES = (STANDARD, STRICT)

APPROVED_PERCENT, CONDITIONAL_PERCENT = 95, 85
GO_PERCENT, NO_GO_BELOW_PERCENT, CATEGORY_PERCENT_MIN = 85, 75, 70
ABOVE_WORST_MAX = 20
"""Points that the strict score may be above the worst category's."""

POINTS = {Result.PASS: Fraction(1), Result.WARN: Fraction(1, 2), Result.FAIL: Fraction(0), Result.UNKNOWN: Fraction(0)}

Results = Mapping[str, Judgement]
"""What is said of each item, by its id."""


class Approval(StrEnum):
    APPROVED = "approved"
    CONDITIONAL = "conditional"
    REJECTED = "rejected"


STATUS = {Approval.APPROVED: "passed", Approval.CONDITIONAL: "warning", Approval.REJECTED: "failed"}
GO = {Approval.APPROVED: "GO", Approval.CONDITIONAL: "CONDITIONAL", Approval.REJECTED: "NO-GO"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`score` is in percent. `reasons` say what decided; `blockers` are the items that reject by themselves."""

    profile: str
    approval: Approval
    score: Fraction
    passed: int
    reasons: tuple[str, ...]
    blockers: tuple[str, ...]

    @property
    def word(self) -> str:
        return GO[self.approval] if self.profile == STRICT else str(self.approval)


def decide(results: Results, profile: str, excepted: Collection[str] = ()) -> Verdict:
    """`results` has every item; `excepted` are ids that a dated exception covers, for the strict rule."""
    return _strict(results, excepted) if profile == STRICT else _standard(results)


def score(results: Results, profile: str) -> Fraction:
    return _overall(results) if profile == STRICT else Fraction(100 * _passes(results, ITEMS), len(ITEMS))


def category_score(results: Results, category: Category, profile: str) -> Fraction:
    if profile == STRICT:
        return _share(results, category.items)
    return Fraction(100 * _passes(results, category.items), len(category.items))


def _passes(results: Results, items: Sequence[Item]) -> int:
    return sum(results[item.id].result is Result.PASS for item in items)


def _standard(results: Results) -> Verdict:
    passes = _passes(results, ITEMS)
    blockers = tuple(item.id for item in ITEMS if item.is_critical and results[item.id].result is not Result.PASS)
    said = f"{passes} of {len(ITEMS)} items pass"
    if blockers:
        approval, why = Approval.REJECTED, f"{len(blockers)} critical items did not pass"
    elif 100 * passes >= APPROVED_PERCENT * len(ITEMS):
        approval, why = Approval.APPROVED, f"at least {APPROVED_PERCENT} % is needed"
    elif 100 * passes >= CONDITIONAL_PERCENT * len(ITEMS):
        approval, why = Approval.CONDITIONAL, f"less than {APPROVED_PERCENT} %, and at least {CONDITIONAL_PERCENT} %"
    else:
        approval, why = Approval.REJECTED, f"less than {CONDITIONAL_PERCENT} %"
    return Verdict(STANDARD, approval, score(results, STANDARD), passes, (said, why), blockers)


def _share(results: Results, items: Sequence[Item]) -> Fraction:
    earned = sum((POINTS[results[item.id].result] * item.weight for item in items), Fraction(0))
    return 100 * earned / sum(item.weight for item in items)


def _overall(results: Results) -> Fraction:
    worst = min(_share(results, category.items) for category in CATEGORIES)
    return min(_share(results, ITEMS), worst + ABOVE_WORST_MAX)


def _strict(results: Results, excepted: Collection[str]) -> Verdict:
    reasons = _objections(results)
    approval = Approval.REJECTED
    if not reasons:
        approval = Approval.APPROVED
    elif excepted and not _bars(results) and not _objections(_as_excepted(results, excepted)):
        approval = Approval.CONDITIONAL
        reasons.append(f"only exceptions stand between: {', '.join(sorted(excepted))}")
    blockers = tuple(item.id for item in ITEMS if _blocks(item, results[item.id]))
    passes = _passes(results, ITEMS)
    return Verdict(
        STRICT, approval, _overall(results), passes, tuple(reasons) or ("nothing stands against it",), blockers
    )


def _bars(results: Results) -> bool:
    """What no exception helps against."""
    return _overall(results) < NO_GO_BELOW_PERCENT or any(_blocks(item, results[item.id]) for item in ITEMS)


def _blocks(item: Item, found: Judgement) -> bool:
    return found.stale or (item.is_critical and found.result in (Result.FAIL, Result.UNKNOWN))


def _as_excepted(results: Results, excepted: Collection[str]) -> dict[str, Judgement]:
    """As if what is excepted passed. Nobody may accept for others that a critical item fails."""
    accepted = Judgement(Result.PASS, "excepted")
    return {item.id: accepted if item.id in excepted and not item.is_critical else results[item.id] for item in ITEMS}


def _objections(results: Results) -> list[str]:
    """What keeps a service from going."""
    found = []
    for item in ITEMS:
        said = results[item.id]
        if item.is_critical and said.result in (Result.FAIL, Result.UNKNOWN):
            found.append(f"{item.id} is critical and is {'unknown' if said.result is Result.UNKNOWN else 'failing'}")
        elif said.stale:
            found.append(f"the evidence for {item.id} is too old")
    overall = _overall(results)
    if overall < GO_PERCENT:
        limit = NO_GO_BELOW_PERCENT if overall < NO_GO_BELOW_PERCENT else GO_PERCENT
        found.append(f"the score {shown(overall)} is below {limit}")
    for category in CATEGORIES:
        share = _share(results, category.items)
        if share < CATEGORY_PERCENT_MIN:
            found.append(f"{category.title} has {shown(share)}, and {CATEGORY_PERCENT_MIN} is needed")
    return found


def shown(percent: Fraction) -> str:
    """With one decimal, never rounded up to a boundary that was not reached."""
    tenths = int(percent * 10)
    return f"{tenths // 10}.{tenths % 10}"
