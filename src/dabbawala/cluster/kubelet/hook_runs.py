"""The lifecycle hooks of one pod that are running: they take their time beside everything else."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.kubelet import hooks, pod_spec, reaching
from dabbawala.cluster.kubelet.actions import RunHook
from dabbawala.cluster.kubelet.observed import HookState
from dabbawala.cluster.kubelet.pod_state import PodState


class HookRuns:
    """Begins hooks and marks in the pod's memory how they go."""

    def __init__(self, state: PodState) -> None:
        self._state = state
        self._tasks: dict[asyncio.Task[None], str] = {}

    def begin(self, action: RunHook) -> None:
        item = pod_spec.container(self._state.pod, action.name)
        if item is None:
            return
        self._mark(action, HookState.RUNNING)
        task = asyncio.create_task(self._run(action, item), name=f"{action.hook} of {action.name}")
        self._tasks[task] = action.name
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def end(self, name: str) -> None:
        """The container is being signalled: what its hooks are still at has taken too long."""
        late = [task for task, container in self._tasks.items() if container == name]
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _run(self, action: RunHook, item: Object) -> None:
        state = self._state
        hook = pod_spec.hook(item, action.hook) or {}
        reach = reaching.reach(state.parts, state.uid, action.name, state.address)
        trouble = await hooks.run(item, hook, reach, state.parts.clock)
        if trouble:
            reason = "FailedPostStartHook" if action.hook == "postStart" else "FailedPreStopHook"
            state.record("Warning", reason, f"{reason.removeprefix('Failed')} failed: {trouble}")
        failed = trouble and action.hook == "postStart"
        self._mark(action, HookState.FAILED if failed else HookState.DONE)
        state.wake()

    def _mark(self, action: RunHook, how: HookState) -> None:
        memory = self._state.memory
        stop = memory.stops.get(action.name)
        if action.hook == "postStart":
            memory.post_start[action.name] = how
        elif stop is not None and stop.attempt == action.attempt:
            memory.stops[action.name] = replace(stop, hook=how)
