"""How pods look in a table: what STATUS and RESTARTS say. Source: pkg/printers/internalversion printPod."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dabbawala.api import cells
from dabbawala.api.kind import Column
from dabbawala.apimachinery import clock, conditions, meta
from dabbawala.apimachinery.meta import Object


@dataclass(slots=True)
class _Summary:
    """What the containers of a pod add up to."""

    reason: str
    total: int = 0
    ready: int = 0
    restarts: int = 0
    last_restart: datetime | None = None

    def count(self, container: Object) -> None:
        self.restarts += container.get("restartCount") or 0
        finished = ((container.get("lastState") or {}).get("terminated") or {}).get("finishedAt")
        if finished:
            moment = clock.parse_time(finished)
            self.last_restart = max(moment, self.last_restart or moment)


def summarise(pod: Object) -> _Summary:
    state = cells.status(pod)
    sidecars = {
        container["name"]
        for container in cells.spec(pod).get("initContainers") or ()
        if container.get("restartPolicy") == "Always"
    }
    summary = _Summary(state.get("reason") or state.get("phase") or "")
    summary.total = len(cells.spec(pod).get("containers") or ()) + len(sidecars)
    scheduled = conditions.find(pod, "PodScheduled")
    if scheduled is not None and scheduled.get("reason") == "SchedulingGated":
        summary.reason = "SchedulingGated"
    initializing = _init_containers(pod, sidecars, summary)
    if not initializing or conditions.is_true(pod, "Initialized"):
        _start_over(pod, sidecars, summary)
        _containers(pod, summary)
    if meta.is_deleting(pod):
        if state.get("reason") == "NodeLost":
            summary.reason = "Unknown"
        elif state.get("phase") not in ("Succeeded", "Failed"):
            summary.reason = "Terminating"
    return summary


def _init_containers(pod: Object, sidecars: set[str], summary: _Summary) -> bool:
    """Whether an init container is still to finish; its state becomes the reason."""
    for index, container in enumerate(cells.status(pod).get("initContainerStatuses") or ()):
        summary.count(container)
        state = container.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting")
        if terminated is not None and terminated.get("exitCode") == 0:
            continue
        if container.get("name") in sidecars and container.get("started"):
            summary.ready += bool(container.get("ready"))
            continue
        if terminated is not None:
            summary.reason = "Init:" + _ending(terminated)
        elif waiting is not None and waiting.get("reason") not in (None, "", "PodInitializing"):
            summary.reason = "Init:" + waiting["reason"]
        else:
            summary.reason = f"Init:{index}/{len(cells.spec(pod).get('initContainers') or ())}"
        return True
    return False


def _start_over(pod: Object, sidecars: set[str], summary: _Summary) -> None:
    """Once initialised, of the init containers only the restarts of sidecars still count."""
    summary.restarts, summary.last_restart = 0, None
    for container in cells.status(pod).get("initContainerStatuses") or ():
        if container.get("name") in sidecars:
            summary.count(container)


def _containers(pod: Object, summary: _Summary) -> None:
    running = False
    for container in reversed(cells.status(pod).get("containerStatuses") or ()):
        summary.count(container)
        state = container.get("state") or {}
        if (state.get("waiting") or {}).get("reason"):
            summary.reason = state["waiting"]["reason"]
        elif state.get("terminated") is not None:
            summary.reason = _ending(state["terminated"])
        elif container.get("ready") and state.get("running") is not None:
            running = True
            summary.ready += 1
    if summary.reason == "Completed" and running:
        summary.reason = "Running" if conditions.is_true(pod, "Ready") else "NotReady"


def _ending(terminated: Object) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _ready(pod: Object, now: datetime) -> str:
    summary = summarise(pod)
    return f"{summary.ready}/{summary.total}"


def _restarts(pod: Object, now: datetime) -> str:
    summary = summarise(pod)
    if not summary.restarts or summary.last_restart is None:
        return str(summary.restarts)
    return f"{summary.restarts} ({cells.human_duration((now - summary.last_restart).total_seconds())} ago)"


def _address(pod: Object) -> str:
    addresses: Iterable[Any] = cells.status(pod).get("podIPs") or ()
    return next((item["ip"] for item in addresses), None) or cells.status(pod).get("podIP") or cells.NONE


def _gates(pod: Object) -> str:
    gates = cells.spec(pod).get("readinessGates") or ()
    passed = sum(conditions.is_true(pod, gate.get("conditionType") or "") for gate in gates)
    return f"{passed}/{len(gates)}" if gates else cells.NONE


COLUMNS = (
    cells.NAME,
    Column("Ready", read=_ready),
    cells.column("Status", lambda pod: summarise(pod).reason),
    Column("Restarts", read=_restarts),
    cells.AGE,
    cells.column("IP", _address, wide=True),
    cells.column("Node", lambda pod: cells.spec(pod).get("nodeName") or cells.NONE, wide=True),
    cells.column("Nominated Node", lambda pod: cells.status(pod).get("nominatedNodeName") or cells.NONE, wide=True),
    cells.column("Readiness Gates", _gates, wide=True),
)
