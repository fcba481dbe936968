"""The status a node agent publishes for a pod, computed whole from what it observes. Pure.

Only the fields the kubelet owns are computed; conditions that others set (readiness gates, PodScheduled,
DisruptionTarget) are kept. Source: pkg/kubelet/kubelet_pods.go generateAPIPodStatus, pkg/kubelet/status/generate.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dabbawala.apimachinery import clock, conditions, meta
from dabbawala.apimachinery.conditions import Condition
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.kubelet import container_status, phases, pod_spec
from dabbawala.cluster.kubelet.container_status import View
from dabbawala.cluster.kubelet.observed import Observed
from dabbawala.cluster.kubelet.restarts import BackOff

OWNED = (
    "phase", "reason", "message", "startTime", "hostIP", "hostIPs", "podIP", "podIPs", "qosClass",
    "observedGeneration", "conditions", "containerStatuses", "initContainerStatuses",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What of the node shows in the status of its pods."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Ending:
    """Why the whole pod ends, apart from being deleted: `phase` Failed with this reason and message."""

    reason: str
    message: str


def compute(
    pod: Mapping[str, Any], observed: Observed, now: datetime, *, node: NodeFacts, back_off: BackOff,
    ending: Ending | None = None,
) -> Object:  # fmt: skip
    """The kubelet's part of the pod's status."""
    leaving = ending is not None or observed.gone or meta.is_deleting(pod)
    view = View(pod, observed, back_off, leaving=leaving)
    found = phases.phase(pod, observed, ending=leaving)
    if ending is not None and not observed.any_running():
        found = "Failed"
    old = pod_spec.status(pod)
    status: Object = {
        "phase": found,
        "startTime": old.get("startTime") or clock.format_time(now),
        "hostIP": node.address,
        "hostIPs": [{"ip": node.address}],
        "qosClass": old.get("qosClass") or pod_spec.qos_class(pod),
    }
    if observed.rejected is None:  # else nothing of it was ever begun, and the reason is what there is to show
        status["containerStatuses"] = [container_status.of(view, item) for item in pod_spec.containers(pod)]
        inits = [container_status.of(view, item) for item in pod_spec.init_containers(pod)]
        if inits:
            status["initContainerStatuses"] = inits
    if ending is not None or old.get("reason"):
        status["reason"] = ending.reason if ending else old["reason"]
        status["message"] = ending.message if ending else old.get("message", "")
    _addresses(status, old, observed)
    _generation(status, pod)
    status["conditions"] = _conditions(view, found, now)
    return status


def _addresses(status: Object, old: Mapping[str, Any], observed: Observed) -> None:
    ip = observed.address or str(old.get("podIP") or "")
    if ip:
        status["podIP"] = ip
        status["podIPs"] = [{"ip": ip}]


def _generation(status: Object, pod: Mapping[str, Any]) -> None:
    if meta.generation(pod):
        status["observedGeneration"] = meta.generation(pod)


def changes(pod: Mapping[str, Any], status: Object) -> Object | None:
    """A merge of `status` over the pod's own, as a patch; None when it says nothing new."""
    old = pod_spec.status(pod)
    changed = {field: value for field, value in status.items() if old.get(field) != value}
    changed.update({field: None for field in OWNED if field in old and field not in status})
    return changed or None


# --- conditions ------------------------------------------------------------------------------------------------


def _conditions(view: View, phase: str, now: datetime) -> list[Object]:
    pod, observed = view.pod, view.observed
    found: list[Object] = list(pod_spec.status(pod).get("conditions") or ())
    contained = _containers_ready(view, phase)
    own = (
        _sandbox_ready(observed),
        _initialized(pod, observed, phase),
        contained,
        _ready(pod, contained),
        Condition("PodScheduled", "True", ""),
    )
    for condition in own:
        found = _put(found, condition, now, meta.generation(pod))
    return found


def _put(found: list[Object], condition: Condition, now: datetime, generation: int) -> list[Object]:
    """Like conditions.put, in the shape of PodCondition: no empty reason or message, a null lastProbeTime."""
    old = conditions.find_in(found, condition.type)
    moved = old is None or old.get("status") != condition.status
    entry: Object = {"type": condition.type, "status": condition.status}
    if condition.type == "PodScheduled" and not moved:
        return found
    entry["lastProbeTime"] = None
    entry["lastTransitionTime"] = clock.format_time(now) if moved or old is None else old.get("lastTransitionTime")
    if condition.reason:
        entry["reason"] = condition.reason
    if condition.message:
        entry["message"] = condition.message
    if generation:
        entry["observedGeneration"] = generation
    if old is None:
        return [*found, entry]
    return [entry if item is old else item for item in found]


def _sandbox_ready(observed: Observed) -> Condition:
    ready = observed.sandbox is not None and observed.sandbox.alive
    return Condition("PodReadyToStartContainers", "True" if ready else "False", "")


def _initialized(pod: Mapping[str, Any], observed: Observed, phase: str) -> Condition:
    if phase == "Succeeded":
        return Condition("Initialized", "True", "PodCompleted")
    missing = phases.incomplete_inits(pod, observed)
    if not missing:
        return Condition("Initialized", "True", "")
    return Condition("Initialized", "False", "ContainersNotInitialized", _listed("incomplete", missing))


def _containers_ready(view: View, phase: str) -> Condition:
    if phase in pod_spec.TERMINAL_PHASES:
        reason = "PodCompleted" if phase == "Succeeded" else "PodFailed"
        return Condition("ContainersReady", "False", reason)
    missing = [item["name"] for item in pod_spec.long_running(view.pod) if not view.is_ready(item)]
    if not missing:
        return Condition("ContainersReady", "True", "")
    return Condition("ContainersReady", "False", "ContainersNotReady", _listed("unready", missing))


def _ready(pod: Mapping[str, Any], contained: Condition) -> Condition:
    if contained.status != "True":
        return Condition("Ready", "False", contained.reason, contained.message)
    complaints = list(_closed_gates(pod))
    if complaints:
        return Condition("Ready", "False", "ReadinessGatesNotReady", _joined(complaints))
    return Condition("Ready", "True", "")


def _closed_gates(pod: Mapping[str, Any]) -> Iterable[str]:
    for gate in pod_spec.spec(pod).get("readinessGates") or ():
        name = gate["conditionType"]
        found = conditions.find(pod, name)
        if found is None:
            yield f'corresponding condition of pod readiness gate "{name}" does not exist.'
        elif found.get("status") != "True":
            yield f'the status of pod readiness gate "{name}" is not "True", but {found.get("status")}'


def _listed(word: str, names: list[str]) -> str:
    return f"containers with {word} status: [{' '.join(names)}]"


def _joined(complaints: list[str]) -> str:
    return complaints[0] if len(complaints) == 1 else f"[{', '.join(complaints)}]"
