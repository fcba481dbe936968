"""ReplicaSet: keeps `spec.replicas` active pods of its template, and reports how many there are.

Source: pkg/controller/replicaset in Kubernetes 1.37.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dabbawala.api import apps_v1, core_v1
from dabbawala.apimachinery import conditions, meta, selectors
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.controllers.replicaset.ranking import deletion_order
from dabbawala.reconcile import ownership, pods
from dabbawala.reconcile.plan import Action, Create, Delete, Plan, Record, status_change

LARGEST_BURST = 500
"""Pods created or deleted in one turn; the rest follows in the next."""

REPLICA_FAILURE = "ReplicaFailure"


def plan(desired: Object, observed: Sequence[Object], related: Sequence[Object], now: datetime) -> Plan:
    """`observed` are the pods that the set owns or its selector matches, `related` the active pods of all sets with
    the same owner, which tells which nodes carry more than their share."""
    selector = selectors.from_label_selector(desired["spec"].get("selector"))
    claims = ownership.claim(desired, selector, core_v1.POD, observed)
    active = [pod for pod in claims.owned if pods.is_active(pod)]
    scaling = () if meta.is_deleting(desired) else _scale(desired, active, related, now)
    min_ready = int(desired["spec"].get("minReadySeconds") or 0)
    return Plan(
        actions=(*claims.patches, *scaling, *_status(desired, claims.owned, now, settled=not scaling)),
        requeue_after=pods.next_available(active, min_ready, now),
    )


def replicas(desired: Object) -> int:
    wanted = desired["spec"].get("replicas")
    return 1 if wanted is None else int(wanted)


def _scale(desired: Object, active: Sequence[Object], related: Sequence[Object], now: datetime) -> tuple[Action, ...]:
    missing = replicas(desired) - len(active)
    if missing > 0:
        pod = pods.from_template(desired["spec"]["template"], desired, prefix=f"{meta.name(desired)}-")
        return (Create(core_v1.POD, pod, announce_to=desired),) * min(missing, LARGEST_BURST)
    if missing == 0:
        return ()
    min_ready = int(desired["spec"].get("minReadySeconds") or 0)
    surplus = deletion_order(active, related, now, min_ready_seconds=min_ready)[: min(-missing, LARGEST_BURST)]
    deletions = (Delete(core_v1.POD, meta.key(pod), uid=meta.uid(pod)) for pod in surplus)
    events = (Record(desired, "SuccessfulDelete", f"Deleted pod: {meta.name(pod)}") for pod in surplus)
    return (*deletions, *events)


def _status(desired: Object, owned: Sequence[Object], now: datetime, *, settled: bool) -> tuple[Action, ...]:
    active = [pod for pod in owned if pods.is_active(pod)]
    ready = [pod for pod in active if pods.is_ready(pod)]
    min_ready = int(desired["spec"].get("minReadySeconds") or 0)
    available = [pod for pod in ready if pods.is_available(pod, min_ready, now)] if min_ready else ready
    template = ((desired["spec"]["template"].get("metadata") or {}).get("labels") or {}).items()
    leaving = sum(meta.is_deleting(pod) and not pods.is_finished(pod) for pod in owned)
    status: Object = {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(template <= meta.labels(pod).items() for pod in active) or None,
        "readyReplicas": len(ready) or None,
        "availableReplicas": len(available) or None,
        "terminatingReplicas": leaving,
        "observedGeneration": meta.generation(desired),
    }
    current = (desired.get("status") or {}).get("conditions") or []
    if settled and conditions.find_in(current, REPLICA_FAILURE):
        status["conditions"] = [item for item in current if item["type"] != REPLICA_FAILURE] or None
    return status_change(apps_v1.REPLICA_SET, desired, status)


def refused(desired: Object, creating: bool, message: str, now: datetime) -> Plan:
    """The API refused a creation or deletion: say so in a condition and an event.

    The condition keeps the first message, as upstream's does: each refusal names another pod, and a write for each
    would wake the set again at once instead of after its back-off.
    """
    reason = "FailedCreate" if creating else "FailedDelete"
    condition = conditions.Condition(REPLICA_FAILURE, "True", reason, message)
    current = (desired.get("status") or {}).get("conditions") or ()
    known = conditions.find_in(current, REPLICA_FAILURE)
    changed = known is None or known.get("reason") != reason
    status = {"conditions": conditions.put(current, condition, now)} if changed else {}
    verb = "creating" if creating else "deleting"
    event = Record(desired, reason, f"Error {verb}: {message}", "Warning")
    return Plan((event, *status_change(apps_v1.REPLICA_SET, desired, status)))
