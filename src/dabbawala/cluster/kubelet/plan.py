"""What a node agent does next for one pod: the kubelet's decisions, as data.

`plan(pod, observed, now, settings)` looks at the whole state and says the next actions; the worker carries them out,
looks again, and rests when there are none. A restarted agent therefore continues where the last one was, from the
runtime alone.

    (nothing) ─► PrepareVolumes ─► CreateSandbox ─► ResolveImage ─► StartContainer ─► RunHook(postStart)
    leaving:  PublishStatus(not ready) ─► BeginStop ─► RunHook(preStop) ─► Signal(TERM) ─► Signal(KILL)
              ─► RemoveSandbox ─► PublishStatus(final) ─► FinishDelete

Source: pkg/kubelet/kuberuntime computePodActions, killContainer; pkg/kubelet/pod_workers.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.kubelet import phases, pod_spec, pod_status, restarts, stopping
from dabbawala.cluster.kubelet.actions import (
    Action,
    BeginStop,
    CreateSandbox,
    FinishDelete,
    KubeletPlan,
    PrepareVolumes,
    PublishStatus,
    RemoveSandbox,
    ResolveImage,
    RunHook,
    Signal,
    StartContainer,
)  # fmt: skip
from dabbawala.cluster.kubelet.observed import HookState, Observed, Run
from dabbawala.cluster.kubelet.pod_status import Ending, NodeFacts
from dabbawala.cluster.kubelet.restarts import BackOff

__all__ = ["Action", "KubeletPlan", "Settings", "plan"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The node, and how long failing containers wait."""

    node: NodeFacts
    back_off: BackOff = field(default_factory=BackOff)


@dataclass(slots=True)
class _Draft:
    """A plan being written: actions so far and the earliest moment to look again."""

    pod: Mapping[str, Any]
    observed: Observed
    now: datetime
    settings: Settings
    actions: list[Action] = field(default_factory=list)
    wake: datetime | None = None

    def add(self, *actions: Action) -> None:
        self.actions.extend(actions)

    def wake_at(self, moment: datetime | None) -> None:
        if moment is not None and (self.wake is None or moment < self.wake):
            self.wake = moment

    def done(self) -> KubeletPlan:
        wait = None if self.wake is None else max(timedelta(), self.wake - self.now)
        return KubeletPlan(tuple(self.actions), wait)


def plan(pod: Mapping[str, Any], observed: Observed, now: datetime, settings: Settings) -> KubeletPlan:
    """The next actions for the pod. Empty when there is nothing to do until something changes or the time comes."""
    draft = _Draft(pod, observed, now, settings)
    ending = _ending(draft)
    if ending is not None or observed.gone or meta.is_deleting(pod) or pod_spec.is_terminal(pod):
        _publish(draft, ending)  # before anything stops, whoever sends requests must hear of it
        _leave(draft)
        return draft.done()
    if phases.is_over(pod, observed):
        _wind_down(draft)
    else:
        _run(draft)
    if not draft.actions:
        _publish(draft, None)  # what comes of several quick steps is told once
    return draft.done()


# --- the pod as a whole ----------------------------------------------------------------------------------------


def _ending(draft: _Draft) -> Ending | None:
    """Whether the pod must end apart from being deleted: refused by the node, or past its deadline."""
    if draft.observed.rejected is not None:
        return Ending(*draft.observed.rejected)
    seconds = pod_spec.spec(draft.pod).get("activeDeadlineSeconds")
    started = pod_spec.status(draft.pod).get("startTime")
    if seconds is None or started is None or pod_spec.is_terminal(draft.pod):
        return None
    deadline = clock.parse_time(started) + timedelta(seconds=int(seconds))
    if draft.now >= deadline:
        return Ending("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
    draft.wake_at(deadline)
    return None


def _publish(draft: _Draft, ending: Ending | None) -> None:
    if draft.observed.gone:
        return
    status = pod_status.compute(
        draft.pod, draft.observed, draft.now,
        node=draft.settings.node, back_off=draft.settings.back_off, ending=ending,
    )  # fmt: skip
    changed = pod_status.changes(draft.pod, status)
    if changed is not None and changed != draft.observed.published:
        draft.add(PublishStatus(changed))


def _leave(draft: _Draft) -> None:
    """Stop everything, then give back the sandbox and, if the pod is being deleted, the name."""
    if _stop_in_order(draft):
        return
    # One whose making failed may be there all the same: the answer was lost, or its shim died on the way.
    if draft.observed.sandbox is not None or draft.observed.sandbox_failure is not None:
        draft.add(RemoveSandbox())
        return
    waits_for_others = meta.metadata(draft.pod).get("deletionGracePeriodSeconds") == 0 and meta.finalizers(draft.pod)
    if draft.observed.gone or (meta.is_deleting(draft.pod) and not draft.actions and not waits_for_others):
        draft.add(FinishDelete())


def _wind_down(draft: _Draft) -> None:
    """Every ordinary container has ended for good: the sidecars end too, then the sandbox goes."""
    if not _stop_in_order(draft) and draft.observed.sandbox is not None:
        draft.add(RemoveSandbox())


def _stop_in_order(draft: _Draft) -> bool:
    """Ordinary containers first and together, then the sidecars, last one first. True while something still runs."""
    names = [item["name"] for item in pod_spec.all_containers(draft.pod) if not pod_spec.is_sidecar(item)]
    running = [name for name in names if draft.observed.running(name)]
    beside = [item["name"] for item in pod_spec.sidecars(draft.pod) if draft.observed.running(item["name"])]
    for name in running or beside[-1:]:
        _stop(draft, name, "Killing", f"Stopping container {name}", pod_spec.grace_seconds(draft.pod))
    return bool(running or beside)


def _stop(draft: _Draft, name: str, reason: str, message: str, grace: int) -> None:
    run, item = draft.observed.running(name), pod_spec.container(draft.pod, name)
    if run is None or item is None:
        return
    stop = draft.observed.stops.get(name)
    if stop is None or stop.attempt != run.attempt:
        has_hook = pod_spec.hook(item, "preStop") is not None
        draft.add(BeginStop(name, run.attempt, grace, reason, message, has_hook=has_hook))
        return
    limit = pod_spec.deletion_deadline(draft.pod) if not draft.observed.gone else None
    step = stopping.next_step(stop, draft.now, limit)
    draft.wake_at(step.wake)
    match step.kind:
        case stopping.StepKind.HOOK:
            draft.add(RunHook(name, run.attempt, "preStop"))
        case stopping.StepKind.TERM:
            image = draft.observed.images.get(item.get("image", ""))
            draft.add(Signal(name, run.attempt, pod_spec.stop_signal(item, image.stop_signal if image else "")))
        case stopping.StepKind.KILL:
            draft.add(Signal(name, run.attempt, "SIGKILL"))
        case stopping.StepKind.WAIT:
            pass


# --- a pod that should run -------------------------------------------------------------------------------------


def _run(draft: _Draft) -> None:
    observed = draft.observed
    if not observed.volumes.ready:
        if _due(draft, observed.volumes.retry_at):
            draft.add(PrepareVolumes())
        return
    if observed.sandbox is not None and not observed.sandbox.alive:
        draft.add(RemoveSandbox(lost=True))
        return
    if observed.sandbox is None:
        failure = observed.sandbox_failure
        if failure is None or _due(draft, failure.retry_at):
            draft.add(CreateSandbox())
        return
    if _run_inits(draft):
        for item in pod_spec.containers(draft.pod):
            _keep(draft, item)


def _run_inits(draft: _Draft) -> bool:
    """Init containers one after the other; sidecars are kept up meanwhile. True when the ordinary ones may run."""
    done = phases.init_done(draft.pod, draft.observed)
    if phases.failed_init(draft.pod, draft.observed) is not None:
        return False
    for item in pod_spec.init_containers(draft.pod):
        if pod_spec.is_sidecar(item):
            _keep(draft, item)
        if done or phases.is_init_complete(item, draft.observed):
            continue
        if not pod_spec.is_sidecar(item):
            _keep(draft, item)
        return False
    return True


def _keep(draft: _Draft, item: Object) -> None:
    """See to it that a container runs, as far as its policy, probes and back-off ask."""
    name = item["name"]
    run = draft.observed.last(name)
    if run is not None and run.is_running:
        _watch_over(draft, item, run)
    elif run is None or _again(draft, item, run):
        _start(draft, item, run)


def _again(draft: _Draft, item: Object, run: Run) -> bool:
    init = not pod_spec.is_sidecar(item) and any(
        other["name"] == item["name"] for other in pod_spec.init_containers(draft.pod)
    )
    return (init and run.stale) or restarts.should_restart(draft.pod, item, run)


def _watch_over(draft: _Draft, item: Object, run: Run) -> None:
    name = item["name"]
    health = draft.observed.healthy(name)
    hook = draft.observed.post_start.get(name, HookState.DONE)
    grace = pod_spec.grace_seconds(draft.pod)
    if hook is HookState.NONE:
        draft.add(RunHook(name, run.attempt, "postStart"))
    elif hook is HookState.FAILED:
        _stop(draft, name, "FailedPostStartHook", f"Container {name} failed its postStart hook", grace)
    elif health is not None and health.restart:
        grace = grace if health.restart_grace is None else health.restart_grace
        _stop(draft, name, "Killing", f"Container {name} {health.restart}, will be restarted", grace)


def _start(draft: _Draft, item: Object, run: Run | None) -> None:
    name = item["name"]
    observed, back_off = draft.observed, draft.settings.back_off
    if run is not None and not _due(draft, restarts.restart_at(observed, name, back_off)):
        return
    image = observed.images.get(item.get("image", ""))
    if image is None or not image.is_present:
        if image is None or _due(draft, image.retry_at):
            draft.add(ResolveImage(item.get("image", ""), item.get("imagePullPolicy") or "IfNotPresent"))
        return
    blocked = observed.waiting.get(name)
    if blocked is not None and not _due(draft, blocked.retry_at):
        return
    attempt = 0 if run is None else run.attempt + 1
    crashes = 0 if run is None else restarts.crashes(observed, name, back_off) + 1
    draft.add(StartContainer(name, attempt, crashes))


def _due(draft: _Draft, moment: datetime | None) -> bool:
    """Whether the moment has come; if not, the plan looks again then."""
    if moment is None or draft.now >= moment:
        return True
    draft.wake_at(moment)
    return False
