"""The whole answer about a service: what is said of each item, the verdict, and what would help most. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction

from dabbawala.api import guard_v1alpha1
from dabbawala.apimachinery import clock, meta, selectors
from dabbawala.apimachinery.meta import Object
from dabbawala.readiness import changes
from dabbawala.readiness import verdict as verdicts
from dabbawala.readiness.catalogue import CATEGORIES, ITEMS
from dabbawala.readiness.chain import Problem
from dabbawala.readiness.judgement import Category, Item, Judgement, Result
from dabbawala.readiness.observed import Observed
from dabbawala.readiness.verdict import Approval, Verdict


@dataclass(frozen=True, slots=True)
class Change:
    """What to do about an item, and the points that it brings after the changes before it."""

    item: Item
    gain: Fraction
    remedy: str


@dataclass(frozen=True, slots=True)
class Assessment:
    service: str
    namespace: str
    workload: str
    at: datetime
    results: Mapping[str, Judgement]
    verdict: Verdict
    problems: tuple[Problem, ...]
    excepted: Mapping[str, str]
    """Id -> who accepted it, and until when."""

    @property
    def changes(self) -> list[Change]:
        """The five that together raise the score most, in the order in which to make them."""
        found = changes.best(self.results, self.verdict.profile)
        return [Change(gain.item, gain.points, self.remedy(gain.item)) for gain in found]

    def remedy(self, item: Item) -> str:
        """The command that does something about it, with the names of this service in it."""
        command = self.results[item.id].remedy or item.remedy
        return command.format(
            service=self.service, namespace=self.namespace, item=item.id, workload=self.workload.lower() or "deployment"
        )

    def category_score(self, category: Category) -> Fraction:
        return verdicts.category_score(self.results, category, self.verdict.profile)

    @property
    def next_steps(self) -> tuple[str, ...]:
        return NEXT_STEPS[self.verdict.approval]


NEXT_STEPS = {
    Approval.APPROVED: (
        "Go through `dabba readiness checklist`: what is not about the service is there.",
        "Print the deployment guide: `dabba readiness guide`.",
        "Keep the record: `dabba readiness export`.",
        "Check again before each release: evidence expires.",
    ),
    Approval.CONDITIONAL: (
        "Agree on an owner and a date for every item that did not pass.",
        "Make the changes above, and check again.",
        "Release to few first, with a way back that was rehearsed.",
        "Keep the record: `dabba readiness export`.",
    ),
    Approval.REJECTED: (
        "Do not release.",
        "Remove the blockers first: no score makes up for them.",
        "Make the changes above in their order, and check again.",
        "What is unknown needs evidence: measure it, import it, or attest it with an owner.",
    ),
}  # fmt: skip


def assess(observed: Observed, profile: str = verdicts.STANDARD) -> Assessment:
    results = {item.id: _judge(observed, item) for item in ITEMS}
    excepted = _exceptions(observed)
    workload = observed.workload or {}
    return Assessment(
        observed.service,
        observed.namespace,
        str(workload.get("kind", "")),
        observed.now,
        results,
        verdicts.decide(results, profile, excepted),
        observed.chain.problems,
        excepted,
    )


def _judge(observed: Observed, item: Item) -> Judgement:
    """An object of a form that nobody foresaw makes an item unknown, and not the whole check fail."""
    try:
        found = item.judge(observed, item)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        return Judgement(
            Result.UNKNOWN, f"what the cluster holds could not be understood: {type(error).__name__}: {error}"
        )
    return found if found.proofs or found.result is not Result.PASS else replace(found, result=Result.UNKNOWN)


def _exceptions(observed: Observed) -> dict[str, str]:
    """Items that a PolicyException covers now; they are named in `checks` as checks of guard are."""
    found: dict[str, str] = {}
    for obj in observed.all(guard_v1alpha1.POLICY_EXCEPTION):
        spec = obj.get("spec") or {}
        if not _covers(spec.get("match") or {}, observed) or observed.now >= _end(str(spec.get("expires", ""))):
            continue
        said = f"{spec.get('reason')} ({meta.name(obj)}: {spec.get('owner')}, until {spec.get('expires')})"
        found |= {item.id: said for item in ITEMS if item.id in (spec.get("checks") or ())}
    return dict(sorted(found.items()))


def _covers(match: Object, observed: Observed) -> bool:
    workload = observed.workload or {}
    chosen = selectors.from_label_selector(match.get("selector") or {})
    return (
        _named(match.get("namespaces"), observed.namespace)
        and _named(match.get("names"), observed.service)
        and (not match.get("kinds") or workload.get("kind") in match["kinds"])
        and chosen.matches(meta.labels(workload))
    )


def _named(patterns: list[str] | None, name: str) -> bool:
    found = (name.startswith(item[:-1]) if item.endswith("*") else name == item for item in patterns or ())
    return not patterns or any(found)


def _end(text: str) -> datetime:
    """A date means its end in UTC."""
    return clock.parse_time(text) if "T" in text else clock.parse_time(f"{text}T00:00:00Z") + timedelta(days=1)


def category_of(item: Item) -> Category:
    return next(category for category in CATEGORIES if item in category.items)
