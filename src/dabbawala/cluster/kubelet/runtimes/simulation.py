"""Carrying out a kubelet plan on paper: a simulated pod's memory is all there is of it.

`settle` runs plan after plan until only the API is left to speak to, so that a pod goes from bound to Ready
in one status write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, assert_never

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.kubelet import image_state, pod_spec
from dabbawala.cluster.kubelet.actions import (
    Action,
    BeginStop,
    CreateSandbox,
    FinishDelete,
    PrepareVolumes,
    PublishStatus,
    RemoveSandbox,
    ResolveImage,
    RunHook,
    Signal,
    StartContainer,
)  # fmt: skip
from dabbawala.cluster.kubelet.memory import Memory
from dabbawala.cluster.kubelet.observed import (
    Health,
    HookState,
    ImageState,
    Run,
    RunState,
    Sandbox,
    Stop,
    Volumes,
)  # fmt: skip
from dabbawala.cluster.kubelet.plan import Settings, plan
from dabbawala.cluster.kubelet.restarts import BackOff
from dabbawala.cluster.kubelet.runtimes.simulated import Behaviour, behaviour, has_image

MAX_ROUNDS = 200
"""Plans made in a row for one pod; more means that it never rests."""

IMAGE_BACK_OFF = BackOff()


@dataclass(frozen=True, slots=True)
class Settled:
    """What is left to say to the API, and when to look again."""

    publish: PublishStatus | None
    finish: bool
    wake: datetime | None


class Restless(Exception):
    """A pod whose plan never came to rest: a defect, not a state of the world."""


@dataclass(slots=True)
class Paper:
    """One simulated pod: what it is, what is remembered of it, the address it gets, and the time."""

    pod: Mapping[str, Any]
    memory: Memory
    address: str
    now: datetime

    def settle(self, settings: Settings) -> Settled:
        told = behaviour(self.pod)
        for _ in range(MAX_ROUNDS):
            wake = self._advance(told)
            made = plan(self.pod, self.memory.observe(), self.now, settings)
            local = [action for action in made.actions if not isinstance(action, PublishStatus | FinishDelete)]
            if not local:
                if made.requeue_after is not None:
                    wake = _earlier(wake, self.now + made.requeue_after)
                return _settled(self.pod, self.memory, made.actions, wake)
            for action in local:
                self._perform(action, told)
        raise Restless(f"pod {meta.key(self.pod)} has not settled after {MAX_ROUNDS} rounds")

    def _perform(self, action: Action, told: Behaviour) -> None:
        memory, now = self.memory, self.now
        match action:
            case PrepareVolumes():
                self._prepare(told)
            case CreateSandbox():
                memory.have_sandbox(Sandbox(self.address))
            case ResolveImage(image):
                memory.images[image] = _image(image, memory.images.get(image), now)
            case StartContainer(name, attempt, crashes):
                memory.crashes[name] = crashes
                self._start(name, attempt)
            case RunHook(name, _, "preStop"):
                memory.stops[name] = replace(memory.stops[name], hook=HookState.DONE)
            case RunHook(name, _, _):
                memory.post_start[name] = HookState.DONE
            case BeginStop(name, attempt, grace):
                memory.stops[name] = Stop(attempt, now, grace, HookState.DONE)
            case Signal(name, _, "SIGKILL"):
                memory.stops[name] = replace(memory.stops[name], kill_at=now)
            case Signal(name, _, _):
                memory.stops[name] = replace(memory.stops[name], term_at=now)
            case RemoveSandbox():
                memory.sandbox = None
            case PublishStatus() | FinishDelete():
                pass
            case _:
                assert_never(action)

    def _prepare(self, told: Behaviour) -> None:
        begun = self.memory.volumes.retry_at
        if begun is None and told.start_delay:
            self.memory.volumes = Volumes(retry_at=self.now + told.start_delay)
        else:
            self.memory.volumes = Volumes(ready=True)

    def _start(self, name: str, attempt: int) -> None:
        identity = f"simulated://{meta.uid(self.pod)}/{name}/{attempt}"
        self.memory.add_run(name, Run(attempt, RunState.RUNNING, self.now, container_id=identity,
                                      image_id=f"simulated://{_image_of(self.pod, name)}"))  # fmt: skip
        self.memory.health[name] = Health(attempt, started=True, ready=False)

    def _advance(self, told: Behaviour) -> datetime | None:
        """Let happen what is due by now; when the next thing is due."""
        wake: datetime | None = None
        for item in pod_spec.all_containers(self.pod):
            runs = self.memory.runs.get(item["name"])
            if runs and runs[-1].is_running:
                wake = _earlier(wake, self._advance_run(item, runs[-1], told))
        return wake

    def _advance_run(self, item: Object, run: Run, told: Behaviour) -> datetime | None:
        ends, code = self._end(item, run, told)
        if ends is not None and ends <= self.now:
            self.memory.end_run(item["name"], at=max(ends, run.started_at), exit_code=code)
            return None
        ready_at = run.started_at + told.ready_delay
        health = self.memory.health.get(item["name"], Health(run.attempt, started=True))
        if health.ready or ready_at <= self.now:
            self.memory.health[item["name"]] = replace(health, attempt=run.attempt, started=True, ready=True)
            return ends
        return _earlier(ends, ready_at)

    def _end(self, item: Object, run: Run, told: Behaviour) -> tuple[datetime | None, int]:
        """When the run ends, and with what exit code."""
        stop = self.memory.stops.get(item["name"])
        if stop is not None and stop.attempt == run.attempt:
            if stop.kill_at is not None:
                return stop.kill_at, 137
            if stop.term_at is not None:
                return stop.term_at + told.stop_delay, 0
        if pod_spec.is_sidecar(item):
            return None, 0
        if any(other["name"] == item["name"] for other in pod_spec.init_containers(self.pod)):
            return run.started_at, 0
        return (None if told.run_duration is None else run.started_at + told.run_duration), told.exit_code


def _settled(pod: Mapping[str, Any], memory: Memory, actions: tuple[Action, ...], wake: datetime | None) -> Settled:
    publish = next((action for action in actions if isinstance(action, PublishStatus)), None)
    ended = memory.sandbox is None and not any(runs[-1].is_running for runs in memory.runs.values())
    if meta.is_deleting(pod) and ended and not meta.finalizers(pod):
        # Nobody waits for the last status of a pod that vanishes in the same moment: one write instead of two.
        return Settled(None, True, None)
    finish = any(isinstance(action, FinishDelete) for action in actions)
    return Settled(publish, finish, wake)


def _image(image: str, known: ImageState | None, now: datetime) -> ImageState:
    if has_image(image):
        return ImageState(image_id=f"simulated://{image}")
    return image_state.missing(image, "IfNotPresent", known, now, IMAGE_BACK_OFF)


def _image_of(pod: Mapping[str, Any], name: str) -> str:
    item = pod_spec.container(pod, name)
    return str(item.get("image", "")) if item is not None else ""


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one or other
    return min(one, other)
