"""One pod on this node: gathers what is known, plans, carries the plan out, looks again until there is nothing to do.

A worker is not a task: the agent's queue calls `step` when something has changed or the time has come, never twice at
once. Only what takes long (hooks, probes) runs beside it, and wakes it by the queue.
"""

from __future__ import annotations

import asyncio
import logging

from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.kubelet.actions import PublishStatus
from dabbawala.cluster.kubelet.carrying import Carrier
from dabbawala.cluster.kubelet.hook_runs import HookRuns
from dabbawala.cluster.kubelet.memory import recall
from dabbawala.cluster.kubelet.node_parts import NodeParts
from dabbawala.cluster.kubelet.observed import Volumes
from dabbawala.cluster.kubelet.plan import plan
from dabbawala.cluster.kubelet.pod_state import PodState
from dabbawala.cluster.kubelet.watching import PodProbes
from dabbawala.cluster.sandbox.spec import PodStatus
from dabbawala.reconcile.cache import revision_of

log = logging.getLogger("dabbawala.kubelet")

MAX_ROUNDS = 50
"""Plans carried out in a row before other pods get their turn."""

PUBLISH_RETRY_SECONDS = 1.0

REFRESH_SECONDS_MAX = 5.0
"""An API server that does not answer for so long must not keep the pod's containers from their turn; volumes are
brought up to date the next time."""


class PodWorker:
    """The worker of one pod (one uid)."""

    def __init__(self, pod: Object, parts: NodeParts, sandbox: PodStatus | None = None) -> None:
        """`sandbox` is one that an earlier agent made; what the status says of its runs is then not history."""
        memory = recall(pod, parts.clock.now(), sandbox_alive=sandbox is not None)
        self.state = PodState(pod, memory, parts)
        self._hooks = HookRuns(self.state)
        self._carrier = Carrier(self.state, self._hooks)
        self._probes = PodProbes(parts, memory, self.state.wake)
        if sandbox is not None:
            memory.volumes = Volumes(ready=True)
            self._carrier.look_up_images()
            self.state.take_in(sandbox)

    def update(self, pod: Object) -> None:
        """A newer state of the pod from the API; older ones than our own last write are ignored."""
        if revision_of(pod) > revision_of(self.state.pod):
            self.state.memory.published = None
            self.state.pod = pod

    def lose(self) -> None:
        """The API server has the pod no more."""
        self.state.memory.gone = True

    def close(self) -> None:
        """Stop watching the pod without touching it: the next agent goes on."""
        self._probes.close()
        self._hooks.close()

    async def step(self) -> float | None:
        """Do what there is to do. Seconds until the next look, or None when only a change can bring work."""
        state = self.state
        if state.stale:
            state.stale = False
            if state.memory.sandbox is not None:
                state.take_in(await state.parts.runtime.inspect(state.uid))
        state.unpublished = False
        await self._refresh_volumes()
        for _ in range(MAX_ROUNDS):
            self._probes.sync(state.pod, state.address)
            made = plan(state.pod, state.memory.observe(), state.parts.clock.now(), state.parts.settings)
            actions = [one for one in made.actions if not (state.unpublished and isinstance(one, PublishStatus))]
            for action in actions:
                await self._carrier.perform(action)
            if state.finished:
                self.close()
                return None
            if not actions:
                wait = None if made.requeue_after is None else made.requeue_after.total_seconds()
                return min(wait or PUBLISH_RETRY_SECONDS, PUBLISH_RETRY_SECONDS) if state.unpublished else wait
        return 0.0

    async def _refresh_volumes(self) -> None:
        """In the pod's own turn, so that nothing is written back after the pod's files have been removed."""
        state = self.state
        due, state.volumes_due = state.volumes_due, False
        if not due or not state.address:
            return
        try:
            async with asyncio.timeout(REFRESH_SECONDS_MAX):
                await state.parts.volumes.refresh(state.pod, state.parts.place(state.address))
        except Exception as failed:  # the pod keeps what it has
            log.info("volumes of pod %s not refreshed: %s", state.key, failed)
