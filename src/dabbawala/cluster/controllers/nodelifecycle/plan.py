"""Node lifecycle: a node that does not renew its lease is unreachable; taints follow from conditions; pods that do
not tolerate a NoExecute taint are deleted when their patience ends.

When no node at all is heard of, the fault is nearer to us than to them: nobody is evicted.
Source: pkg/controller/nodelifecycle, tainteviction and podgc in Kubernetes 1.37.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from dabbawala.api import core_v1
from dabbawala.apimachinery import clock, conditions, meta
from dabbawala.apimachinery.conditions import Condition
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile import placement, pods
from dabbawala.reconcile.plan import Action, Delete, Patch, Plan, Record, status_change

GRACE = timedelta(seconds=50)
"""Silence after which a node counts as unreachable (node-monitor-grace-period)."""

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_PRESSURES = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
_OURS = frozenset({NOT_READY, UNREACHABLE, UNSCHEDULABLE, *_PRESSURES.values()})
_SILENCED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")


def plan(node: Object, heard: datetime, placed: Sequence[Object], *, all_lost: bool, now: datetime) -> Plan:
    """`heard` is when the node was last heard of, `placed` the pods on it."""
    if meta.is_deleting(node):
        return Plan()
    silent = heard + GRACE <= now
    if silent and _ready(node) != "Unknown":
        return _silence(node, placed, now)
    taints = _taints(node, now, all_lost=all_lost)
    actions: list[Action] = list(_retaint(node, taints))
    if _ready(node) != "True":
        actions.extend(action for pod in placed for action in _not_ready(pod, now))
    evictions, wait = _evictions(placed, taints, now)
    waits = [wait, None if silent else heard + GRACE - now]
    return Plan((*actions, *evictions), min((item for item in waits if item is not None), default=None))


def lost(placed: Iterable[Object]) -> Plan:
    """The node is no more: its pods can be neither run nor ended, so they are removed."""
    removals = (Delete(core_v1.POD, meta.key(pod), uid=meta.uid(pod), grace_period_seconds=0) for pod in placed)
    return Plan(tuple(removals))


def is_heard_of(node: Object) -> bool:
    return _ready(node) == "True"


def _ready(node: Object) -> str:
    found = conditions.find(node, "Ready")
    return str(found["status"]) if found else "Unknown-yet"


def _silence(node: Object, placed: Sequence[Object], now: datetime) -> Plan:
    """Nobody knows how the node is; its pods stop being endpoints."""
    found = list((node.get("status") or {}).get("conditions") or ())
    for type_ in _SILENCED:
        known = conditions.find_in(found, type_) is not None
        reason = "NodeStatusUnknown" if known else "NodeStatusNeverUpdated"
        text = "Kubelet stopped posting node status." if known else "Kubelet never posted node status."
        found = conditions.put(found, Condition(type_, "Unknown", reason, text), now)
    event = Record(node, "NodeNotReady", f"Node {meta.name(node)} status is now: NodeNotReady")
    quiet = (action for pod in placed for action in _not_ready(pod, now))
    return Plan((*status_change(core_v1.NODE, node, {"conditions": found}, guarded=True), event, *quiet))


def _not_ready(pod: Object, now: datetime) -> tuple[Patch, ...]:
    if not pods.is_ready(pod):
        return ()
    condition = Condition("Ready", "False", "NodeNotReady", "Node is not ready")
    found = conditions.put((pod.get("status") or {}).get("conditions") or (), condition, now)
    return status_change(core_v1.POD, pod, {"conditions": found}, guarded=True)


def _taints(node: Object, now: datetime, *, all_lost: bool) -> list[Object]:
    """The taints the node shall have. Those that are there already keep the time at which they were added; one that
    evicts and has none, as `kubectl taint` makes them, gets it now, for patience to count from."""
    spec = node.get("spec") or {}
    present = spec.get("taints") or []
    wanted: list[tuple[str, str]] = []
    ready = _ready(node)
    if ready != "True":
        name = UNREACHABLE if ready == "Unknown" else NOT_READY
        wanted.append((name, "NoSchedule"))
        if not all_lost:
            wanted.append((name, "NoExecute"))
    wanted += [(name, "NoSchedule") for type_, name in _PRESSURES.items() if conditions.is_true(node, type_)]
    if spec.get("unschedulable"):
        wanted.append((UNSCHEDULABLE, "NoSchedule"))
    kept = [item for item in present if item.get("key") not in _OURS or (item["key"], item["effect"]) in wanted]
    kept = [_timed(item, now) for item in kept]
    have = {(item["key"], item["effect"]) for item in kept}
    added = [_taint(name, effect, now) for name, effect in wanted if (name, effect) not in have]
    return [*kept, *added]


def _timed(taint: Object, now: datetime) -> Object:
    if taint.get("effect") != "NoExecute" or taint.get("timeAdded"):
        return taint
    return {**taint, "timeAdded": clock.format_time(now)}


def _taint(name: str, effect: str, now: datetime) -> Object:
    return {"key": name, "effect": effect, "timeAdded": clock.format_time(now)}


def _retaint(node: Object, taints: list[Object]) -> Iterable[Action]:
    if taints != ((node.get("spec") or {}).get("taints") or []):
        body = {"spec": {"taints": taints or None}}
        yield Patch(core_v1.NODE, meta.key(node), body, resource_version=meta.resource_version(node))


def _evictions(
    placed: Sequence[Object], taints: Sequence[Object], now: datetime
) -> tuple[list[Action], timedelta | None]:
    """Pods whose patience has ended, and how long until the next one's does."""
    evicting = [taint for taint in taints if taint.get("effect") == "NoExecute"]
    actions: list[Action] = []
    waits: list[timedelta] = []
    for pod in placed if evicting else ():
        patience = _patience(pod, evicting)
        if patience is None or meta.is_deleting(pod):
            continue
        added = [clock.parse_time(taint["timeAdded"]) for taint in evicting if taint.get("timeAdded")]
        wait = max(added, default=now) + patience - now
        if wait > timedelta():
            waits.append(wait)
        else:
            actions.append(Record(pod, "TaintManagerEviction", f"Marking for deletion Pod {meta.key(pod)}"))
            actions.append(Delete(core_v1.POD, meta.key(pod), uid=meta.uid(pod)))
    return actions, min(waits, default=None)


def _patience(pod: Object, taints: Sequence[Object]) -> timedelta | None:
    """How long the pod tolerates all of the taints; None for ever."""
    limits: list[int] = []
    for taint in taints:
        matching = [
            item for item in (pod.get("spec") or {}).get("tolerations") or () if placement.tolerates(item, taint)
        ]
        if not matching:
            return timedelta()
        bounded = [item["tolerationSeconds"] for item in matching if item.get("tolerationSeconds") is not None]
        if len(bounded) == len(matching):
            limits.append(max(min(bounded), 0))
    return timedelta(seconds=min(limits)) if limits else None
