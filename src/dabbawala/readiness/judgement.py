"""What is said of one item: pass, warn, fail or unknown, on what it stands, and what to do about it.

Nothing defaults to a pass. What cannot be known is unknown, which counts as little as a failure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from dabbawala.api.readiness_v1alpha1 import ATTESTATION, IMPORTED, MEASUREMENT, RECORD

if TYPE_CHECKING:
    from dabbawala.readiness.observed import Observed

CLUSTER, PROMETHEUS = "cluster", "prometheus"
MEASURED = (MEASUREMENT, RECORD, IMPORTED)
"""What a tool must have found; nobody's word stands for it."""
SAID = (ATTESTATION, RECORD, IMPORTED)
"""What somebody may answer for."""

WEIGHTS = {"critical": 5, "high": 3, "medium": 2, "low": 1}


class Result(StrEnum):
    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Proof:
    """What a result stands on: an object as it was seen, a query and its answer, or a record of evidence. `at` is
    RFC 3339, `origin` says where it is from: cluster, prometheus, or the type of the evidence."""

    reference: str
    at: str
    digest: str
    origin: str = CLUSTER


@dataclass(frozen=True, slots=True)
class Judgement:
    """`remedy` is a command; empty for the item's own. `stale` says that there is evidence, but too old."""

    result: Result
    message: str
    proofs: tuple[Proof, ...] = ()
    remedy: str = ""
    stale: bool = False

    def advising(self, remedy: str) -> Judgement:
        return replace(self, remedy=remedy)


def passed(message: str, *proofs: Proof) -> Judgement:
    return Judgement(Result.PASS, message, proofs)


def warned(message: str, *proofs: Proof) -> Judgement:
    return Judgement(Result.WARN, message, proofs)


def failed(message: str, *proofs: Proof) -> Judgement:
    return Judgement(Result.FAIL, message, proofs)


def unknown(message: str, *proofs: Proof) -> Judgement:
    return Judgement(Result.UNKNOWN, message, proofs)


Judge = Callable[["Observed", "Item"], Judgement]


@dataclass(frozen=True, slots=True)
class Item:
    """One of the 42. `proof` says what proves it; `remedy` is a command with {service}, {namespace}, {item} and
    {workload} in it; `accepts` are the types of evidence that count, `days` for how long they do at most."""

    id: str
    title: str
    severity: str
    judge: Judge
    proof: str
    remedy: str
    accepts: tuple[str, ...] = ()
    days: int = 90

    @property
    def is_critical(self) -> bool:
        return self.severity == "critical"

    @property
    def weight(self) -> int:
        return WEIGHTS[self.severity]


@dataclass(frozen=True, slots=True)
class Category:
    id: str
    title: str
    items: tuple[Item, ...]


PROPOSE = (
    "dabba readiness propose {service} -n {namespace} --item {item}"
    " | kubectl apply --server-side --field-manager=dabba-readiness -f -"
)
ATTEST = "dabba readiness attest {service} {item} -n {namespace} --owner NAME --expires DATE --document FILE"
IMPORT = "dabba readiness import FILE -n {namespace}"
SCAN = "dabba guard scan --live --publish"
