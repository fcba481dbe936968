"""Job: runs pods until enough have succeeded, or too many have failed, or time is up.

Every pod carries a finalizer until it has been counted: first the status names it as not yet counted, then its
finalizer goes, then it becomes part of the numbers. A crash between any two of these neither loses nor doubles one.
Source: pkg/controller/job in Kubernetes 1.37; KEP-2307 (tracking with finalizers), KEP-3998 (terminal conditions
only when all pods have ended).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dabbawala.api import batch_v1, core_v1
from dabbawala.apimachinery import clock, conditions, meta
from dabbawala.apimachinery.conditions import Condition
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.controllers.job import indexes
from dabbawala.cluster.controllers.job.counting import TRACKING, Tally, is_failed, replaces_only_failed, tally
from dabbawala.cluster.controllers.job.verdict import Verdict, verdict
from dabbawala.reconcile import pods
from dabbawala.reconcile.plan import Action, Create, Delete, Patch, Plan, Record, status_change

FIRST_BACKOFF, LAST_BACKOFF = timedelta(seconds=10), timedelta(minutes=10)
"""Wait before a failed pod is replaced, doubling with each failure in a row."""

LARGEST_BURST = 500


@dataclass(frozen=True, slots=True)
class _Turn:
    job: Object
    pods: Sequence[Object]
    tally: Tally
    now: datetime

    @property
    def active(self) -> list[Object]:
        return [pod for pod in self.pods if pods.is_active(pod)]


def plan(job: Object, observed: Sequence[Object], now: datetime) -> Plan:
    """`observed` are the pods that the Job owns."""
    if meta.is_deleting(job):
        return Plan(_let_go(observed))
    if is_finished(job):
        return _after(job, observed, now)
    turn = _Turn(job, observed, tally(job, observed), now)
    reached = verdict(job, turn.tally, observed, now)
    if reached is not None:
        return _end(turn, reached)
    if job["spec"].get("suspend"):
        return _suspend(turn)
    return _run(turn)


def is_finished(job: Object) -> bool:
    return conditions.is_true(job, "Complete") or conditions.is_true(job, "Failed")


def _run(turn: _Turn) -> Plan:
    job, now = turn.job, turn.now
    started = (job.get("status") or {}).get("startTime")
    found = list((job.get("status") or {}).get("conditions") or ())
    news: tuple[Action, ...] = ()
    if conditions.is_true(job, "Suspended"):
        found = conditions.put(found, Condition("Suspended", "False", "JobResumed", "Job resumed"), now)
        news, started = (Record(job, "Resumed", "Job resumed"),), None
    began = clock.parse_time(started) if started else now
    status = {"startTime": clock.format_time(began), **({"conditions": found} if found else {})}
    waits = [_deadline(job, began, now)]
    wanted = _wanted_active(job, turn.tally)
    change: tuple[Action, ...] = ()
    taken = len(turn.active) + (turn.tally.terminating if replaces_only_failed(job) else 0)
    if taken < wanted:
        wait = _backoff(turn)
        waits.append(wait)
        change = _create(turn, wanted - taken) if wait is None else ()
    elif len(turn.active) > wanted:
        change = _delete(indexes.surplus(job, turn.active, wanted))
    waiting = [wait for wait in waits if wait is not None]
    return Plan((*_report(turn, status), *news, *change), min(waiting, default=None))


def _wanted_active(job: Object, counts: Tally) -> int:
    parallelism = job["spec"].get("parallelism")
    parallelism = 1 if parallelism is None else int(parallelism)
    completions = job["spec"].get("completions")
    if completions is None:
        return parallelism if counts.succeeded == 0 else 0
    return max(min(parallelism, int(completions) - counts.succeeded), 0)


def _create(turn: _Turn, missing: int) -> tuple[Action, ...]:
    prefixes = indexes.next_pods(turn.job, turn.pods, min(missing, LARGEST_BURST))
    return tuple(Create(core_v1.POD, _pod(turn.job, index), announce_to=turn.job) for index in prefixes)


def _pod(job: Object, index: int | None) -> Object:
    prefix = f"{meta.name(job)}-" if index is None else f"{meta.name(job)}-{index}-"
    made = pods.from_template(job["spec"]["template"], job, prefix=prefix)
    metadata = made["metadata"]
    metadata["finalizers"] = [*metadata.get("finalizers", ()), TRACKING]
    owned = {"batch.kubernetes.io/job-name": meta.name(job), "batch.kubernetes.io/controller-uid": meta.uid(job)}
    legacy = {"job-name": meta.name(job), "controller-uid": meta.uid(job)}
    metadata["labels"] = {**metadata.get("labels", {}), **owned, **legacy}
    return made if index is None else indexes.with_index(job, made, index)


def _delete(surplus: Sequence[Object]) -> tuple[Action, ...]:
    return tuple(Delete(core_v1.POD, meta.key(pod), uid=meta.uid(pod)) for pod in surplus)


def _backoff(turn: _Turn) -> timedelta | None:
    """How long to wait before a failed pod is replaced; None when nothing has to be waited for."""
    finished = sorted(
        ((moment, is_failed(turn.job, pod)) for pod in turn.pods if (moment := _finished_at(pod)) is not None),
        reverse=True,
    )
    failures = 0
    for _, failed in finished:
        if not failed:
            break
        failures += 1
    if failures == 0:
        return None
    wait = finished[0][0] + min(FIRST_BACKOFF * 2 ** min(failures - 1, 10), LAST_BACKOFF) - turn.now
    return wait if wait > timedelta() else None


def _finished_at(pod: Object) -> datetime | None:
    """When the last container ended; when nothing tells, when the pod was made."""
    if not pods.is_finished(pod) and not meta.is_deleting(pod):
        return None
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    ends = [((item.get("state") or {}).get("terminated") or {}).get("finishedAt") for item in statuses]
    known = [clock.parse_time(end) for end in ends if end]
    created = meta.metadata(pod).get("creationTimestamp")
    return max(known) if known else clock.parse_time(created) if created else None


def _deadline(job: Object, began: datetime, now: datetime) -> timedelta | None:
    seconds = job["spec"].get("activeDeadlineSeconds")
    return None if seconds is None else max(began + timedelta(seconds=int(seconds)) - now, timedelta())


def _suspend(turn: _Turn) -> Plan:
    found = (turn.job.get("status") or {}).get("conditions") or ()
    news: tuple[Action, ...] = ()
    if not conditions.is_true(turn.job, "Suspended"):
        found = conditions.put(found, Condition("Suspended", "True", "JobSuspended", "Job suspended"), turn.now)
        news = (Record(turn.job, "Suspended", "Job suspended"),)
    status = {"conditions": list(found), "startTime": None}
    return Plan((*_report(turn, status), *news, *_delete(turn.active)))


def _end(turn: _Turn, reached: Verdict) -> Plan:
    """Announce the end, take down what still runs, and when all pods have ended and are counted, say so."""
    job, now = turn.job, turn.now
    target = "FailureTarget" if reached.failed else "SuccessCriteriaMet"
    announced = Condition(target, "True", reached.reason, reached.message)
    found = conditions.put((job.get("status") or {}).get("conditions") or (), announced, now)
    status: Object = {"conditions": found}
    if not (job.get("status") or {}).get("startTime"):
        status["startTime"] = clock.format_time(now)
    news: tuple[Action, ...] = ()
    if turn.tally.is_settled and not turn.active and not turn.tally.terminating:
        final = Condition("Failed" if reached.failed else "Complete", "True", reached.reason, reached.message)
        status["conditions"] = conditions.put(found, final, now)
        if not reached.failed:
            status["completionTime"] = clock.format_time(now)
        news = (_outcome(job, reached),)
    return Plan((*_report(turn, status), *_delete(turn.active), *news))


def _outcome(job: Object, reached: Verdict) -> Record:
    if reached.failed:
        return Record(job, reached.reason, reached.message, "Warning")
    return Record(job, "Completed", "Job completed")


def _report(turn: _Turn, status: Object) -> tuple[Action, ...]:
    """Counts into the status; only when the status says which pods are being counted do their finalizers go."""
    counts = turn.tally
    numbers: Object = {
        "active": len(turn.active) or None,
        "ready": sum(map(pods.is_ready, turn.active)),
        "terminating": counts.terminating,
        "succeeded": counts.counted_succeeded or None,
        "failed": counts.counted_failed or None,
        **_uncounted(turn),
    }
    if job_is_indexed(turn.job):
        numbers["completedIndexes"] = indexes.completed(turn.job, turn.pods) or None
    release = tuple(_without_finalizer(pod) for pod in counts.to_release)
    return (*status_change(batch_v1.JOB, turn.job, {**numbers, **status}), *release)


def _uncounted(turn: _Turn) -> Object:
    """The change of the list of pods that are being counted, if there is one."""
    before = (turn.job.get("status") or {}).get("uncountedTerminatedPods") or {}
    named = turn.tally.uncounted()
    if named == {field: uids for field, uids in before.items() if uids}:
        return {}
    return {"uncountedTerminatedPods": {**dict.fromkeys(before), **named}}


def job_is_indexed(job: Object) -> bool:
    return bool(job["spec"].get("completionMode") == "Indexed")


def _without_finalizer(pod: Object) -> Patch:
    kept = [item for item in meta.finalizers(pod) if item != TRACKING]
    body = {"metadata": {"uid": meta.uid(pod), "finalizers": kept or None}}
    return Patch(core_v1.POD, meta.key(pod), body, resource_version=meta.resource_version(pod))


def _let_go(observed: Sequence[Object]) -> tuple[Action, ...]:
    """The Job is going: nobody will count its pods any more, so nothing may hold them."""
    return tuple(_without_finalizer(pod) for pod in observed if TRACKING in meta.finalizers(pod))


def _after(job: Object, observed: Sequence[Object], now: datetime) -> Plan:
    """A finished Job keeps nothing back, and goes itself when its time to live has passed."""
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    released = _let_go(observed)
    if ttl is None:
        return Plan(released)
    ended = next(item for type_ in ("Complete", "Failed") if (item := conditions.find(job, type_)) is not None)
    left = clock.parse_time(ended["lastTransitionTime"]) + timedelta(seconds=int(ttl)) - now
    if left > timedelta():
        return Plan(released, left)
    return Plan((*released, Delete(batch_v1.JOB, meta.key(job), uid=meta.uid(job), propagation_policy="Foreground")))
