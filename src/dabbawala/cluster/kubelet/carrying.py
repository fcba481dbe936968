"""Carrying out the actions of a kubelet plan for one pod. What fails becomes part of what the next plan sees."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from dataclasses import replace
from datetime import timedelta
from typing import assert_never

from dabbawala.api import core_v1
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import Conflict, NotFound, StatusError
from dabbawala.cluster.kubelet import image_state, launch, pod_spec, starting, stopping, transitions
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
from dabbawala.cluster.kubelet.addresses import NoAddress
from dabbawala.cluster.kubelet.environment import ConfigError
from dabbawala.cluster.kubelet.hook_runs import HookRuns
from dabbawala.cluster.kubelet.memory import KEPT_RUNS
from dabbawala.cluster.kubelet.observed import HookState, ImageState, Stop, Volumes, Waiting
from dabbawala.cluster.kubelet.pod_state import PodState
from dabbawala.cluster.kubelet.runtimes.runtime import RuntimeFailure
from dabbawala.cluster.kubelet.volumes.content import VolumeError
from dabbawala.cluster.sandbox.spec import PodSpec
from dabbawala.reconcile.plan import PatchType

log = logging.getLogger("dabbawala.kubelet")

RETRY = timedelta(seconds=0.5)


class Carrier:
    """Performs actions on one pod. Each may be repeated without harm."""

    def __init__(self, state: PodState, hooks: HookRuns) -> None:
        self._state = state
        self._parts = state.parts
        self._memory = state.memory
        self._hooks = hooks

    async def perform(self, action: Action) -> None:
        match action:
            case PublishStatus(changes):
                await self._publish(changes)
            case PrepareVolumes():
                await self._prepare_volumes()
            case CreateSandbox():
                await self._create_sandbox()
            case ResolveImage(image, policy):
                self._resolve(image, policy)
            case StartContainer():
                await self._start(action)
            case RunHook():
                self._hooks.begin(action)
            case BeginStop():
                hook = HookState.NONE if action.has_hook else HookState.DONE
                since = self._parts.clock.now()
                self._memory.stops[action.name] = Stop(action.attempt, since, action.grace_seconds, hook)
                self._state.record("Normal", action.reason, action.message)
            case Signal():
                await self._signal(action)
            case RemoveSandbox():
                await self._remove_sandbox(lost=action.lost)
            case FinishDelete():
                await self._finish()
            case _:
                assert_never(action)

    # --- actions -----------------------------------------------------------------------------------------------

    async def _publish(self, changes: Object) -> None:
        """An API server that is away must not keep containers from being started and stopped: try again later."""
        namespace, name = self._state.key
        body = {"metadata": {"uid": self._state.uid}, "status": changes}
        news = list(transitions.of(self._state.pod, changes))
        try:
            self._state.pod = await self._parts.client.patch(
                core_v1.POD, name, namespace, body, type=PatchType.STRATEGIC, subresource="status"
            )
        except (NotFound, Conflict):
            self._memory.gone = True
        except StatusError as refused:
            log.warning("status of pod %s not published: %s", self._state.key, refused.message)
            self._state.unpublished = True
        else:
            self._memory.published = changes
            for one in news:
                self._state.record(*one)

    async def _prepare_volumes(self) -> None:
        now = self._parts.clock.now()
        try:
            address = self._parts.addresses.take(self._state.uid)
            await self._parts.volumes.prepare(self._state.pod, self._parts.place(address))
            self._memory.volumes = Volumes(ready=True)
        except (VolumeError, StatusError, NoAddress, OSError) as failed:
            if self._memory.volumes.message != str(failed):
                self._state.record("Warning", "FailedMount", f"MountVolume.SetUp failed: {failed}")
            self._memory.volumes = Volumes(message=str(failed), retry_at=now + RETRY)

    async def _create_sandbox(self) -> None:
        parts, uid = self._parts, self._state.uid
        try:
            state = parts.files.state(uid)
            state.mkdir(parents=True, exist_ok=True)
            wanted = launch.sandbox(self._state.pod, parts.identity.name, parts.addresses.take(uid), str(state))
            # Until it is confirmed it may be there or not, whatever goes wrong: it is removed before the pod goes.
            self._memory.sandbox_failure = Waiting("FailedCreatePodSandBox", "not confirmed yet", parts.clock.now())
            await self._make(wanted)
            self._memory.sandbox_failure = None
        except (RuntimeFailure, ConfigError, NoAddress, OSError) as failed:
            if isinstance(failed, RuntimeFailure) and failed.reason == "AddressInUse":
                parts.addresses.release(uid)  # to the end of the line; the next attempt takes another
            retry_at = parts.clock.now() + RETRY
            self._memory.sandbox_failure = Waiting("FailedCreatePodSandBox", str(failed), retry_at)
            self._state.record("Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {failed}")

    async def _make(self, wanted: PodSpec) -> None:
        """Make the sandbox, or take in the one of an earlier attempt whose answer was lost; the plan removes it if it
        has died since. Raises RuntimeFailure."""
        try:
            await self._parts.runtime.create(wanted)
        except RuntimeFailure as refused:
            if refused.reason != "AlreadyExists":
                raise
        made = await self._parts.runtime.inspect(wanted.uid)
        if made is None:
            raise RuntimeFailure("SandboxGone", "the sandbox ended as soon as it was made")
        self._state.take_in(made)

    def look_up_images(self) -> None:
        """What an earlier agent knew of the images of the pod's containers, as far as they are still there."""
        for item in pod_spec.all_containers(self._state.pod):
            found = self._parts.images.resolve(item.get("image", ""))
            if found is not None:
                self._memory.images[item.get("image", "")] = ImageState(
                    image_id=found.id, stop_signal=found.stop_signal
                )

    def _resolve(self, image: str, policy: str) -> None:
        found = self._parts.images.resolve(image)
        known = self._memory.images.get(image)
        now = self._parts.clock.now()
        if found is not None:
            self._memory.images[image] = ImageState(image_id=found.id, stop_signal=found.stop_signal)
            self._state.record("Normal", "Pulled", f'Container image "{image}" already present on machine')
        else:
            self._memory.images[image] = image_state.missing(image, policy, known, now, image_state.LOCAL_BACK_OFF)

    async def _start(self, action: StartContainer) -> None:
        item = pod_spec.container(self._state.pod, action.name)
        if item is None:
            return
        waiting = await starting.start(self._parts, self._state.pod, item, action.attempt, self._state.address)
        if waiting is not None:
            self._memory.waiting[action.name] = waiting
            # An image that was removed meanwhile is looked for again.
            self._memory.images.pop(item.get("image", ""), None)
            return
        self._memory.waiting.pop(action.name, None)
        self._memory.stops.pop(action.name, None)
        self._memory.crashes[action.name] = action.crashes
        hooked = pod_spec.hook(item, "postStart") is not None
        self._memory.post_start[action.name] = HookState.NONE if hooked else HookState.DONE
        self._state.take_in(await self._parts.runtime.inspect(self._state.uid))
        self._note_start(item)
        # The status and `logs --previous` need this run and the one before it.
        files = self._parts.files
        await asyncio.to_thread(files.remove_runs, self._state.uid, action.name, action.attempt - KEPT_RUNS + 1)

    def _note_start(self, item: Object) -> None:
        """The image id belongs to the run; the events tell of it."""
        runs = self._memory.runs.get(item["name"])
        image = self._memory.images.get(item.get("image", ""))
        if not runs:
            return
        self._memory.add_run(item["name"], replace(runs[-1], image_id=image.image_id if image else ""))
        if runs[-1].reason == "StartError":
            self._state.record(
                "Warning", "Failed", f"Error: failed to start container {item['name']}: {runs[-1].message}"
            )
            return
        self._state.record("Normal", "Created", f"Created container: {item['name']}")
        self._state.record("Normal", "Started", f"Started container {item['name']}")

    async def _signal(self, action: Signal) -> None:
        await self._hooks.end(action.name)
        now = self._parts.clock.now()
        number = stopping.signal_number(action.signal) or signal.SIGTERM
        stop = self._memory.stops[action.name]
        kill = number == signal.SIGKILL
        self._memory.stops[action.name] = replace(stop, kill_at=now) if kill else replace(stop, term_at=now)
        try:
            await self._parts.runtime.signal(self._state.uid, action.name, number)
        except RuntimeFailure as failed:
            log.info("pod %s: %s to %s: %s", self._state.key, action.signal, action.name, failed.message)
        self._state.stale = True

    async def _remove_sandbox(self, *, lost: bool) -> None:
        await self._parts.runtime.remove(self._state.uid)
        if lost:
            self._memory.lose_sandbox(self._parts.clock.now())
            self._state.record("Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
            return
        self._memory.sandbox = None
        self._memory.sandbox_failure = None
        self._parts.addresses.release(self._state.uid)
        self._parts.volumes.tokens.forget(self._state.uid)
        await asyncio.to_thread(self._parts.files.remove_volumes, self._state.uid)

    async def _finish(self) -> None:
        if not self._memory.gone:
            namespace, name = self._state.key
            with contextlib.suppress(NotFound, Conflict):
                await self._parts.client.delete(
                    core_v1.POD, name, namespace, uid=self._state.uid, grace_period_seconds=0
                )
        self._state.finished = True
        self._parts.addresses.release(self._state.uid)
        self._parts.volumes.tokens.forget(self._state.uid)
        await asyncio.to_thread(self._parts.files.remove, self._state.uid)
