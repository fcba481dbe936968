"""Whether a pod may run at a level, and what it violates. Source: policy/registry.go, policy/checks.go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dabbawala.apimachinery.meta import Object
from dabbawala.policy.pod_security import catalogue
from dabbawala.policy.pod_security.levels import Version


class Violation(NamedTuple):
    """`reason` stands for itself; `detail` names what in the pod is meant."""

    check_id: str
    reason: str
    detail: str


def evaluate(level: str, version: Version, pod_metadata: Object, pod_spec: Object) -> Sequence[Violation]:
    """What the pod violates, in upstream's order; nothing when it is allowed."""
    return [
        Violation(check.id, *found)
        for check, look in catalogue.checks_of(level, version)
        if (found := look(pod_metadata, pod_spec)) is not None
    ]


def reasons(violations: Iterable[Violation]) -> str:
    """E.g. `host namespaces, privileged`."""
    return ", ".join(violation.reason for violation in violations)


def details(violations: Iterable[Violation]) -> str:
    """E.g. `host namespaces (hostPID=true), privileged (container "a" must not set …)`."""
    return ", ".join(f"{item.reason} ({item.detail})" if item.detail else item.reason for item in violations)
