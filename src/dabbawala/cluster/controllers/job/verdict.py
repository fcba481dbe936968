"""Is a Job done? An ordered chain of checks, each with its reason; the first that holds decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from dabbawala.apimachinery import clock, conditions
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.controllers.job.counting import Tally, is_failed
from dabbawala.cluster.controllers.job.failure_policy import FAIL_JOB, ruling
from dabbawala.reconcile import pods


class Verdict(NamedTuple):
    failed: bool
    reason: str
    message: str


Check = Callable[[Object, Tally, Sequence[Object], datetime], Verdict | None]


def verdict(job: Object, counts: Tally, observed: Sequence[Object], now: datetime) -> Verdict | None:
    """None while the Job goes on."""
    return next((found for check in CHAIN if (found := check(job, counts, observed, now)) is not None), None)


def _announced(job: Object, counts: Tally, observed: Sequence[Object], now: datetime) -> Verdict | None:
    """What was announced once stays."""
    for type_, failed in (("FailureTarget", True), ("SuccessCriteriaMet", False)):
        found = conditions.find(job, type_)
        if found is not None and found.get("status") == "True":
            return Verdict(failed, found["reason"], found.get("message", ""))
    return None


def _policy(job: Object, counts: Tally, observed: Sequence[Object], now: datetime) -> Verdict | None:
    """A pod whose failure ends the whole Job."""
    for pod in observed:
        if is_failed(job, pod) and (found := ruling(job, pod)).action == FAIL_JOB:
            return Verdict(True, "PodFailurePolicy", f"{found.why} matching FailJob rule")
    return None


def _too_many_failures(job: Object, counts: Tally, observed: Sequence[Object], now: datetime) -> Verdict | None:
    limit = job["spec"].get("backoffLimit")
    limit = 6 if limit is None else int(limit)
    restarts = 0
    if job["spec"]["template"]["spec"].get("restartPolicy") == "OnFailure":
        restarts = sum(pods.restarts(pod) for pod in observed if pods.is_active(pod))
    if counts.failed > limit or (restarts > 0 and restarts >= limit):
        return Verdict(True, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    return None


def _too_late(job: Object, counts: Tally, observed: Sequence[Object], now: datetime) -> Verdict | None:
    seconds, started = job["spec"].get("activeDeadlineSeconds"), (job.get("status") or {}).get("startTime")
    if seconds is None or not started or job["spec"].get("suspend"):
        return None
    if clock.parse_time(started) + timedelta(seconds=int(seconds)) > now:
        return None
    return Verdict(True, "DeadlineExceeded", "Job was active longer than specified deadline")


def _enough(job: Object, counts: Tally, observed: Sequence[Object], now: datetime) -> Verdict | None:
    completions = job["spec"].get("completions")
    reached = Verdict(False, "CompletionsReached", "Reached expected number of succeeded pods")
    if completions is not None:
        return reached if counts.succeeded >= int(completions) else None
    busy = any(pods.is_active(pod) for pod in observed)
    return reached if counts.succeeded > 0 and not busy else None


CHAIN: tuple[Check, ...] = (_announced, _policy, _too_many_failures, _too_late, _enough)
