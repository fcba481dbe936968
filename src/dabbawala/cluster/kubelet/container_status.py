"""The status of one container of a pod. Pure. Source: core/v1 ContainerStatus, pkg/kubelet convertStatusToAPIStatus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dabbawala.apimachinery import clock
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.kubelet import phases, pod_spec, restarts
from dabbawala.cluster.kubelet.observed import HookState, Observed, Run
from dabbawala.cluster.kubelet.restarts import BackOff

CRASH_LOOP = "CrashLoopBackOff"


@dataclass(frozen=True, slots=True)
class View:
    """A pod and what is observed of it. `leaving`: nothing is started any more, and nothing is ready."""

    pod: Mapping[str, Any]
    observed: Observed
    back_off: BackOff
    leaving: bool

    def is_ready(self, item: Object) -> bool:
        return not self.leaving and self.observed.is_ready(item["name"])


def of(view: View, item: Object) -> Object:
    name = item["name"]
    observed = view.observed
    run = observed.last(name)
    status: Object = {
        "name": name,
        "image": item.get("image", ""),
        "imageID": _image_id(observed, item, run),
        "ready": _ready(view, item, run),
        "started": observed.is_started(name),
        "restartCount": run.attempt if run is not None else 0,
        "state": _state(view, item, run),
        "lastState": {},
    }
    if run is not None and run.container_id:
        status["containerID"] = run.container_id
    last = run if "waiting" in status["state"] else _previous(observed, name)
    if last is not None and not last.is_running:
        status["lastState"] = {"terminated": terminated(last)}
    return status


def _image_id(observed: Observed, item: Object, run: Run | None) -> str:
    if run is not None and run.image_id:
        return run.image_id
    image = observed.images.get(item.get("image", ""))
    return image.image_id if image is not None else ""


def _ready(view: View, item: Object, run: Run | None) -> bool:
    init = any(other["name"] == item["name"] for other in pod_spec.init_containers(view.pod))
    if init and not pod_spec.is_sidecar(item):
        return run is not None and not run.is_running and run.exit_code == 0
    return view.is_ready(item)


def _previous(observed: Observed, name: str) -> Run | None:
    runs = observed.runs.get(name) or ()
    return runs[-2] if len(runs) > 1 else None


def _state(view: View, item: Object, run: Run | None) -> Object:
    name = item["name"]
    if run is not None and run.is_running:
        if view.observed.post_start.get(name) is HookState.RUNNING:
            return _waiting("ContainerCreating")
        return {"running": {"startedAt": clock.format_time(run.started_at)}}
    if view.leaving:
        return {"terminated": terminated(run)} if run is not None else _waiting(_initial_reason(view, item))
    blocked = view.observed.waiting.get(name)
    if blocked is not None:
        return _waiting(blocked.reason, blocked.message)
    image = view.observed.images.get(item.get("image", ""))
    wanted = run is None or restarts.should_restart(view.pod, item, run) or _runs_again(view, item, run)
    if wanted and image is not None and not image.is_present:
        return _waiting(image.reason, image.message)
    if run is None:
        return _waiting(_initial_reason(view, item))
    if not wanted or phases.failed_init(view.pod, view.observed):
        return {"terminated": terminated(run)}
    return _backing_off(view, item, run)


def _runs_again(view: View, item: Object, run: Run) -> bool:
    """An init container that completed in a sandbox that is gone runs again."""
    return run.stale and not phases.is_over(view.pod, view.observed) and any(
        other["name"] == item["name"] for other in pod_spec.init_containers(view.pod)
    )  # fmt: skip


def _backing_off(view: View, item: Object, run: Run) -> Object:
    wait = view.back_off.wait(restarts.crashes(view.observed, item["name"], view.back_off))
    if not wait:
        return {"terminated": terminated(run)}
    spelled = restarts.describe_wait(wait)
    message = f"back-off {spelled} restarting failed container={item['name']} pod={pod_spec.describe(view.pod)}"
    return _waiting(CRASH_LOOP, message)


def _initial_reason(view: View, item: Object) -> str:
    inits = [other["name"] for other in pod_spec.init_containers(view.pod)]
    if not inits:
        return "ContainerCreating"
    ordinary = item["name"] not in inits
    if ordinary and phases.init_done(view.pod, view.observed):
        return "ContainerCreating"
    return "PodInitializing"


def _waiting(reason: str, message: str = "") -> Object:
    return {"waiting": {"reason": reason, "message": message} if message else {"reason": reason}}


def terminated(run: Run) -> Object:
    """core/v1 ContainerStateTerminated."""
    assert run.finished_at is not None, "a run that has ended has an end"
    state: Object = {
        "exitCode": run.exit_code,
        "reason": run.reason or ("Completed" if run.exit_code == 0 else "Error"),
        "startedAt": clock.format_time(run.started_at),
        "finishedAt": clock.format_time(run.finished_at),
    }
    if run.message:
        state["message"] = run.message
    if run.container_id:
        state["containerID"] = run.container_id
    return state
