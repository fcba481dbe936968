"""What a Deployment reports: counts, and the conditions Available, Progressing and ReplicaFailure.

Source: pkg/controller/deployment/progress.go and sync.go (calculateStatus) in Kubernetes 1.37.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from dabbawala.apimachinery import clock, conditions, meta
from dabbawala.apimachinery.conditions import Condition
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.controllers.deployment import revisions, scaling

AVAILABLE, PROGRESSING, REPLICA_FAILURE = "Available", "Progressing", "ReplicaFailure"
NEW_CREATED = "NewReplicaSetCreated"
UPDATED = "ReplicaSetUpdated"
COMPLETE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"
PAUSED = "DeploymentPaused"
RESUMED = "DeploymentResumed"
NO_DEADLINE = 2**31 - 1
"""`progressDeadlineSeconds` that stands for none."""


def counts(deployment: Object, new: Object | None, sets: Sequence[Object]) -> Object:
    """The numbers of the status; zero is left out where Kubernetes leaves it out."""
    reached = {field: sum(_count(item, field) for item in sets) for field in ("replicas", "readyReplicas")}
    available = sum(_count(item, "availableReplicas") for item in sets)
    return {
        "observedGeneration": meta.generation(deployment),
        "replicas": reached["replicas"] or None,
        "updatedReplicas": (_count(new, "replicas") if new is not None else 0) or None,
        "readyReplicas": reached["readyReplicas"] or None,
        "availableReplicas": available or None,
        "unavailableReplicas": max(scaling.total(sets) - available, 0) or None,
        "terminatingReplicas": sum(_count(item, "terminatingReplicas") for item in sets),
    }


def _count(item: Object, field: str) -> int:
    return int((item.get("status") or {}).get(field) or 0)


def deadline(deployment: Object) -> int | None:
    """`progressDeadlineSeconds`, None when there is none."""
    seconds = deployment["spec"].get("progressDeadlineSeconds")
    return None if seconds is None or seconds == NO_DEADLINE else int(seconds)


def is_complete(deployment: Object, status: Object) -> bool:
    """All pods are of the current template and available, and none of another is left."""
    wanted = revisions.wanted(deployment)
    fields = ("updatedReplicas", "replicas", "availableReplicas")
    return all(int(status.get(field) or 0) == wanted for field in fields)


def judged(
    deployment: Object, new: Object | None, sets: Sequence[Object], status: Object, now: datetime
) -> list[Object]:
    """The conditions after a turn that rolled, given the new counts."""
    found = available(deployment, status, now)
    if deadline(deployment) is None:
        found = _without(found, PROGRESSING)
    else:
        found = _progress(deployment, new, status, found, now)
    return _replica_failure(sets, found)


def available(deployment: Object, status: Object, now: datetime) -> list[Object]:
    """The present conditions, with Available brought up to date."""
    present = list((deployment.get("status") or {}).get("conditions") or ())
    if int(status.get("availableReplicas") or 0) >= scaling.bounds(deployment).fewest_available:
        text = "Deployment has minimum availability."
        return _set(present, Condition(AVAILABLE, "True", "MinimumReplicasAvailable", text), now)
    text = "Deployment does not have minimum availability."
    return _set(present, Condition(AVAILABLE, "False", "MinimumReplicasUnavailable", text), now)


def _progress(
    deployment: Object, new: Object | None, status: Object, found: list[Object], now: datetime
) -> list[Object]:
    present = conditions.find_in(found, PROGRESSING)
    finished = int(status.get("replicas") or 0) == int(status.get("updatedReplicas") or 0)
    if finished and present is not None and present.get("reason") == COMPLETE:
        return found
    subject = f'ReplicaSet "{meta.name(new)}"' if new is not None else f'Deployment "{meta.name(deployment)}"'
    if is_complete(deployment, status):
        text = f"{subject} has successfully progressed."
        return _set(found, Condition(PROGRESSING, "True", COMPLETE, text), now)
    if _moved(deployment, status):
        return _set(found, Condition(PROGRESSING, "True", UPDATED, f"{subject} is progressing."), now, again=True)
    if _timed_out(deployment, present, now):
        return _set(found, Condition(PROGRESSING, "False", TIMED_OUT, f"{subject} has timed out progressing."), now)
    return found


def announced(deployment: Object, reason: str, message: str, now: datetime) -> list[Object]:
    """The present conditions, with the news that the current set was made or found."""
    present = list((deployment.get("status") or {}).get("conditions") or ())
    if deadline(deployment) is None:
        return present
    return _set(present, Condition(PROGRESSING, "True", reason, message), now)


def paused(deployment: Object, now: datetime) -> list[Object] | None:
    """New conditions when the Deployment was paused or resumed since the last turn; None when nothing changed.
    The deadline clock does not run while it is paused."""
    present = list((deployment.get("status") or {}).get("conditions") or ())
    if deadline(deployment) is None:
        return None
    known = conditions.find_in(present, PROGRESSING)
    if known is not None and known.get("reason") == TIMED_OUT:
        return None
    is_known = known is not None and known.get("reason") == PAUSED
    is_paused = bool(deployment["spec"].get("paused"))
    if is_paused and not is_known:
        return _set(present, Condition(PROGRESSING, "Unknown", PAUSED, "Deployment is paused"), now)
    if not is_paused and is_known:
        return _set(present, Condition(PROGRESSING, "Unknown", RESUMED, "Deployment is resumed"), now)
    return None


def next_check(deployment: Object, found: Sequence[Object], now: datetime) -> timedelta | None:
    """When to look whether the deadline has passed."""
    seconds, present = deadline(deployment), conditions.find_in(found, PROGRESSING)
    if seconds is None or present is None or present.get("reason") in (COMPLETE, TIMED_OUT, PAUSED):
        return None
    left = _moved_at(present) + timedelta(seconds=seconds) - now
    return max(left, timedelta()) + timedelta(seconds=1)


def _moved(deployment: Object, status: Object) -> bool:
    """Some count came nearer to the goal since the status was last written."""
    before = deployment.get("status") or {}

    def number(counts: Object, field: str) -> int:
        return int(counts.get(field) or 0)

    def old(counts: Object) -> int:
        return number(counts, "replicas") - number(counts, "updatedReplicas")

    grew = (number(status, field) > number(before, field) for field in ("updatedReplicas", "readyReplicas"))
    return (
        any(grew)
        or old(status) < old(before)
        or number(status, "availableReplicas") > number(before, "availableReplicas")
    )


def _timed_out(deployment: Object, present: Object | None, now: datetime) -> bool:
    seconds = deadline(deployment)
    if present is None or seconds is None or present.get("reason") in (COMPLETE, PAUSED):
        return False
    return present.get("reason") == TIMED_OUT or _moved_at(present) + timedelta(seconds=seconds) < now


def _moved_at(condition: Object) -> datetime:
    return clock.parse_time(condition.get("lastUpdateTime") or condition["lastTransitionTime"])


def _replica_failure(sets: Sequence[Object], found: list[Object]) -> list[Object]:
    """The first refusal that a set reports, newest set first."""
    reported = (conditions.find(item, REPLICA_FAILURE) for item in reversed(revisions.by_age(sets)))
    failure = next((item for item in reported if item is not None), None)
    rest = _without(found, REPLICA_FAILURE)
    if failure is None:
        return rest
    return [*rest, {"lastUpdateTime": failure["lastTransitionTime"], **failure}]


def _without(found: list[Object], type_: str) -> list[Object]:
    return [item for item in found if item.get("type") != type_]


def _set(found: list[Object], said: Condition, now: datetime, *, again: bool = False) -> list[Object]:
    """Set a condition; the same status and reason leave the old one alone, times included, unless `again`."""
    present = conditions.find_in(found, said.type) or {}
    if (present.get("status"), present.get("reason")) == (said.status, said.reason) and not again:
        return found
    changed = conditions.put(found, said, now)
    stamp = {"lastUpdateTime": clock.format_time(now)}
    return [{**item, **stamp} if item.get("type") == said.type else item for item in changed]
