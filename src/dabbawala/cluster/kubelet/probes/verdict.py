"""From single answers to what they mean: thresholds, and the three kinds of probe. Pure.

Source: pkg/kubelet/prober; core/v1 Probe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Kind = Literal["startup", "readiness", "liveness"]


@dataclass(frozen=True, slots=True)
class Timing:
    """When a probe asks and how many answers count. Seconds."""

    initial_delay: float
    period: float
    timeout: float
    successes: int
    failures: int
    grace: int | None

    @classmethod
    def of(cls, probe: Mapping[str, Any]) -> Timing:
        return cls(
            initial_delay=float(probe.get("initialDelaySeconds") or 0),
            period=float(probe.get("periodSeconds") or 10),
            timeout=float(probe.get("timeoutSeconds") or 1),
            successes=int(probe.get("successThreshold") or 1),
            failures=int(probe.get("failureThreshold") or 3),
            grace=probe.get("terminationGracePeriodSeconds"),
        )


class NotAsked(Exception):
    """The node could not put the question (the sandbox did not answer, say): it tells nothing about the container, and
    counts neither way. Source: prober.worker.doProbe, "prober error, throw away the result"."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a probe; `text` says why it failed."""

    ok: bool
    text: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """Answers of one kind in a row, and what they have come to: None until a threshold has been reached."""

    run: int = 0
    last: bool | None = None
    result: bool | None = None

    def count(self, answer: Answer, timing: Timing) -> Tally:
        run = self.run + 1 if self.last == answer.ok else 1
        needed = timing.successes if answer.ok else timing.failures
        counted = replace(self, run=run, last=answer.ok)
        return replace(counted, result=answer.ok) if run >= needed else counted
