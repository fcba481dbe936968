"""An assessment for programs. The same assessment gives the same bytes."""

from __future__ import annotations

import orjson

from dabbawala.apimachinery import clock
from dabbawala.apimachinery.meta import Object
from dabbawala.readiness import verdict
from dabbawala.readiness.assessment import Assessment
from dabbawala.readiness.catalogue import CATEGORIES, ITEMS
from dabbawala.readiness.judgement import Category, Item, Judgement, Result

GOOD_PERCENT, FAIR_PERCENT = 90, 70
"""From where on a category is well, and from where on it is middling. Source: scenario S064."""


def render(found: Assessment) -> bytes:
    return orjson.dumps(document(found), option=orjson.OPT_INDENT_2) + b"\n"


def document(found: Assessment) -> Object:
    said = found.verdict
    return {
        "service": found.service,
        "namespace": found.namespace,
        "workload": found.workload,
        "checkedAt": clock.format_time(found.at),
        "profile": said.profile,
        "verdict": said.word,
        "approval": str(said.approval),
        "status": verdict.STATUS[said.approval],
        "score": verdict.shown(said.score),
        "passed": said.passed,
        "total": len(ITEMS),
        "reasons": list(said.reasons),
        "blockers": list(said.blockers),
        "evidenceProblems": [str(problem) for problem in found.problems],
        "exceptions": dict(found.excepted),
        "categories": [_category(found, category) for category in CATEGORIES],
        "changes": [
            {"item": change.item.id, "points": verdict.shown(change.gain), "command": change.remedy}
            for change in found.changes
        ],
        "nextSteps": list(found.next_steps),
    }


def _category(found: Assessment, category: Category) -> Object:
    return {
        "id": category.id,
        "title": category.title,
        "passed": passes(found, category),
        "total": len(category.items),
        "percentage": verdict.shown(found.category_score(category)),
        "level": level(found, category),
        "items": [_item(found, item, found.results[item.id]) for item in category.items],
    }


def passes(found: Assessment, category: Category) -> int:
    return sum(found.results[item.id].result is Result.PASS for item in category.items)


def level(found: Assessment, category: Category) -> str:
    share = found.category_score(category)
    return "good" if share >= GOOD_PERCENT else "fair" if share >= FAIR_PERCENT else "poor"


def _item(found: Assessment, item: Item, said: Judgement) -> Object:
    return {
        "id": item.id,
        "title": item.title,
        "result": str(said.result),
        "severity": item.severity,
        "critical": item.is_critical,
        "message": said.message,
        "stale": said.stale,
        "proof": item.proof,
        "remedy": "" if said.result is Result.PASS else found.remedy(item),
        "evidence": [
            {"reference": proof.reference, "at": proof.at, "hash": proof.digest, "origin": proof.origin}
            for proof in said.proofs
        ],
    }
