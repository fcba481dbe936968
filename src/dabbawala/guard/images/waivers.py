"""Exceptions for single vulnerabilities: a PolicyException for IMG-07, IMG-08 or IMG-17 that matches objects of kind
Vulnerability, which are named by their CVE and labelled with `package`, `severity` and `image` (the last part of its
name). It means the same in the gate, in approvals and in the checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dabbawala.api import guard_v1alpha1
from dabbawala.guard import exceptions
from dabbawala.guard.exceptions import PolicyException
from dabbawala.guard.images.records import Vulnerability
from dabbawala.guard.images.terms import Accepting

KIND = "Vulnerability"


def accepting(given: Sequence[PolicyException], now: datetime) -> Accepting:
    """Who accepts what now."""
    meant = [one for one in given if KIND in one.kinds]

    def accepts(check: str, found: Vulnerability, image: str) -> str:
        labels = {"package": found.package, "severity": found.severity, "image": image.rpartition("/")[2]}
        metadata = {"name": found.id, "labels": labels}
        obj = {"apiVersion": f"{guard_v1alpha1.GROUP}/v1alpha1", "kind": KIND, "metadata": metadata}
        accepted = exceptions.accepting(meant, check, obj, now)
        return str(accepted) if accepted is not None else ""

    return accepts
