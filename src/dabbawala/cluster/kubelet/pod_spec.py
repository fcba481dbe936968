"""Reading a pod: what its spec asks of a node. Pure functions over the plain object; none changes its argument."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from dabbawala.apimachinery import clock, meta, quantity
from dabbawala.apimachinery.meta import Object

SIMULATED = "simulated"
TERMINAL_PHASES = ("Succeeded", "Failed")


def spec(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    return pod.get("spec") or {}


def status(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    return pod.get("status") or {}


def phase(pod: Mapping[str, Any]) -> str:
    return str(status(pod).get("phase") or "Pending")


def is_terminal(pod: Mapping[str, Any]) -> bool:
    return phase(pod) in TERMINAL_PHASES


def containers(pod: Mapping[str, Any]) -> list[Object]:
    return list(spec(pod).get("containers") or ())


def init_containers(pod: Mapping[str, Any]) -> list[Object]:
    return list(spec(pod).get("initContainers") or ())


def all_containers(pod: Mapping[str, Any]) -> Iterator[Object]:
    """Init containers in their order, then the ordinary ones."""
    yield from init_containers(pod)
    yield from containers(pod)


def container(pod: Mapping[str, Any], name: str) -> Object | None:
    return next((item for item in all_containers(pod) if item["name"] == name), None)


def is_sidecar(item: Mapping[str, Any]) -> bool:
    """An init container that keeps running: `restartPolicy: Always` (KEP-753)."""
    return item.get("restartPolicy") == "Always"


def sidecars(pod: Mapping[str, Any]) -> list[Object]:
    return [item for item in init_containers(pod) if is_sidecar(item)]


def long_running(pod: Mapping[str, Any]) -> list[Object]:
    """The containers that make up readiness: the ordinary ones and the sidecars."""
    return [*sidecars(pod), *containers(pod)]


def restart_policy(pod: Mapping[str, Any]) -> str:
    return str(spec(pod).get("restartPolicy") or "Always")


def is_simulated(pod: Mapping[str, Any]) -> bool:
    """Whether the pod asks to run on paper, by the RuntimeClass of that name."""
    return spec(pod).get("runtimeClassName") == SIMULATED


def node_name(pod: Mapping[str, Any]) -> str:
    return str(spec(pod).get("nodeName") or "")


def grace_seconds(pod: Mapping[str, Any]) -> int:
    """The grace of a running deletion if there is one, else the one of the spec; seconds."""
    asked = meta.metadata(pod).get("deletionGracePeriodSeconds")
    if asked is None:
        asked = spec(pod).get("terminationGracePeriodSeconds")
    return 30 if asked is None else int(asked)


def deletion_deadline(pod: Mapping[str, Any]) -> datetime | None:
    """When a deleted pod's grace ends at the latest. The API server puts that into deletionTimestamp, without the
    fraction of its second: a program gets its whole grace, not up to a second less."""
    text = meta.metadata(pod).get("deletionTimestamp")
    return clock.parse_time(text) + timedelta(seconds=1) if text else None


def volumes(pod: Mapping[str, Any]) -> list[Object]:
    return list(spec(pod).get("volumes") or ())


def security_context(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    return spec(pod).get("securityContext") or {}


def sysctls(pod: Mapping[str, Any]) -> dict[str, str]:
    """The kernel settings the pod asks for, by name as it writes them."""
    return {one["name"]: str(one["value"]) for one in security_context(pod).get("sysctls") or ()}


def probe(item: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """`kind` is startup, readiness or liveness."""
    return item.get(f"{kind}Probe")


def hook(item: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """`kind` is postStart or preStop."""
    return (item.get("lifecycle") or {}).get(kind)


def stop_signal(item: Mapping[str, Any], image_signal: str = "") -> str:
    """The signal that asks the container to end: of its lifecycle, else of its image, else SIGTERM."""
    return str((item.get("lifecycle") or {}).get("stopSignal") or image_signal or "SIGTERM")


def amount(item: Mapping[str, Any], field: str, resource: str) -> Decimal | None:
    """`field` is requests or limits; None when the container does not say."""
    text = ((item.get("resources") or {}).get(field) or {}).get(resource)
    return None if text is None else quantity.parse(text)


def request(pod: Mapping[str, Any], resource: str) -> Decimal:
    """What the pod asks of a node: the larger of its init phase and its running phase, sidecars in both."""
    running = sum((amount(item, "requests", resource) or Decimal() for item in containers(pod)), Decimal())
    beside = Decimal()
    peak = Decimal()
    for item in init_containers(pod):
        asked = amount(item, "requests", resource) or Decimal()
        if is_sidecar(item):
            beside += asked
        peak = max(peak, beside if is_sidecar(item) else beside + asked)
    overhead = (spec(pod).get("overhead") or {}).get(resource)
    return max(running + beside, peak) + (quantity.parse(overhead) if overhead is not None else Decimal())


def qos_class(pod: Mapping[str, Any]) -> str:
    """Guaranteed, Burstable or BestEffort. Source: pkg/apis/core/v1/helper/qos."""
    guaranteed = True
    best_effort = True
    for item in all_containers(pod):
        for resource in ("cpu", "memory"):
            asked, limit = amount(item, "requests", resource), amount(item, "limits", resource)
            best_effort = best_effort and not asked and not limit
            guaranteed = guaranteed and bool(limit) and (asked is None or asked == limit)
    if best_effort:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def describe(pod: Mapping[str, Any]) -> str:
    """`web_default(uid)`, as the kubelet's messages name a pod."""
    return f"{meta.name(pod)}_{meta.namespace(pod)}({meta.uid(pod)})"
