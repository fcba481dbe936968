"""The order in which one container is stopped, as a table over what has happened so far. Pure.

    begun ─► preStop hook (if any) ─► stop signal ─► wait for the grace ─► SIGKILL

The grace counts from the beginning and covers the hook too; a hook that used all of it leaves the program two more
seconds after the signal. A deletion asked for later with a shorter grace shortens a stop in progress.
Source: pkg/kubelet/kuberuntime killContainer; "Termination of Pods" in the Kubernetes documentation.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from dabbawala.cluster.kubelet.observed import HookState, Stop

EXTENSION = timedelta(seconds=2)
"""What is left to a program whose preStop hook used up the grace."""

KILL_REPEAT = timedelta(seconds=5)
"""A SIGKILL whose effect is not seen after so long is sent again."""


class StepKind(StrEnum):
    WAIT = "wait"
    HOOK = "hook"
    TERM = "term"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now, and when to look again at the latest."""

    kind: StepKind
    wake: datetime | None = None


def signal_number(name: str) -> int | None:
    """The number of a signal as images and pods write it: `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`; None for no signal."""
    text = name.strip().upper().removeprefix("SIG")
    base, sign, offset = text.partition("+") if "+" in text else text.partition("-")
    try:
        number = int(text) if text.isdecimal() else int(signal.Signals[f"SIG{base}"])
        number += int(sign + offset) if sign else 0
    except (KeyError, ValueError):
        return None
    return number if number in signal.valid_signals() else None


def next_step(stop: Stop, now: datetime, limit: datetime | None) -> Step:
    """`limit` is the end of the pod's deletion grace, if it is being deleted."""
    end = stop.since + timedelta(seconds=stop.grace_seconds)
    if limit is not None:
        end = min(end, limit)
    if stop.kill_at is not None:
        again = stop.kill_at + KILL_REPEAT
        return Step(StepKind.KILL) if now >= again else Step(StepKind.WAIT, again)
    if stop.term_at is not None:
        end = max(end, stop.term_at + EXTENSION) if stop.term_at >= end else end
        return Step(StepKind.KILL) if now >= end else Step(StepKind.WAIT, end)
    if stop.grace_seconds == 0:
        return Step(StepKind.KILL)
    if stop.hook is HookState.NONE and now < end:
        return Step(StepKind.HOOK)
    if stop.hook is HookState.RUNNING and now < end:
        return Step(StepKind.WAIT, end)
    return Step(StepKind.TERM)
