"""What comes of evaluating a policy: an outcome for each validation, values for the audit log, or an exclusion.

Source: apiserver/pkg/admission/plugin/policy/validating/policy_decision.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Result = Literal["pass", "fail", "error"]
INVALID = "Invalid"
"""The reason of a validation that names none."""
WHOLE = -1
"""The index of an outcome that is about the policy as a whole: a condition that cannot be computed, a spent budget."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one validation says. `index` is its place in `spec.validations`, or `WHOLE`. An error denies by the policy's
    failure policy, a failure always; neither does more than a binding's actions let it."""

    index: int
    result: Result
    message: str = ""
    reason: str = ""
    denies: bool = False


@dataclass(frozen=True, slots=True)
class AuditValue:
    """What one audit annotation says; with an `error` instead of a value, the request is denied."""

    key: str
    value: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`excluded` names the match condition that is false: the policy is not about the request then, and nothing was
    evaluated."""

    outcomes: tuple[Outcome, ...] = ()
    audit: tuple[AuditValue, ...] = ()
    excluded: str = ""
    passed: bool = field(init=False)
    """Whether every validation was evaluated and holds."""

    def __post_init__(self) -> None:
        held = not self.excluded and all(outcome.result == "pass" for outcome in self.outcomes)
        object.__setattr__(self, "passed", held)

    @property
    def faults(self) -> tuple[Outcome, ...]:
        """The outcomes that are not a pass."""
        return tuple(outcome for outcome in self.outcomes if outcome.result != "pass")

    @property
    def denials(self) -> tuple[Outcome, ...]:
        """What a binding with the action Deny refuses the request for."""
        return tuple(outcome for outcome in self.outcomes if outcome.denies)
