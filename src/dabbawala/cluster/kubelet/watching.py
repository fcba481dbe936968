"""The probes of one pod's running containers: begun with each run, ended with it."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.kubelet import pod_spec, reaching
from dabbawala.cluster.kubelet.memory import Memory
from dabbawala.cluster.kubelet.node_parts import NodeParts
from dabbawala.cluster.kubelet.observed import Health, Run
from dabbawala.cluster.kubelet.probes import ask
from dabbawala.cluster.kubelet.probes.prober import Prober, Reports
from dabbawala.cluster.kubelet.probes.verdict import Answer
from dabbawala.reconcile.plan import Record


@dataclass(slots=True)
class _Watch:
    attempt: int
    prober: Prober
    task: asyncio.Task[None]


class PodProbes:
    """The probers of one pod. `sync` after every look; `close` at the end."""

    def __init__(self, parts: NodeParts, memory: Memory, changed: Callable[[], None]) -> None:
        self._parts = parts
        self._memory = memory
        self._changed = changed
        self._watches: dict[str, _Watch] = {}

    def sync(self, pod: Mapping[str, Any], address: str) -> None:
        """Begin with runs that are new, end with runs that are over."""
        for item in pod_spec.all_containers(pod):
            name = item["name"]
            runs = self._memory.runs.get(name)
            running = runs[-1] if runs and runs[-1].is_running else None
            watch = self._watches.get(name)
            if watch is not None and (running is None or watch.attempt != running.attempt):
                self._end(name)
                watch = None
            if watch is None and running is not None:
                self._begin(pod, item, running, address)

    def close(self) -> None:
        for name in list(self._watches):
            self._end(name)

    def _end(self, name: str) -> None:
        self._watches.pop(name).task.cancel()
        self._memory.health.pop(name, None)

    def _begin(self, pod: Mapping[str, Any], item: Object, run: Run, address: str) -> None:
        name, uid = item["name"], meta.uid(pod)

        reach = reaching.reach(self._parts, uid, name, address)

        async def question(container: Object, probe: Mapping[str, Any], timeout: float) -> Answer:
            return await ask.ask(container, probe, reach, timeout)

        def changed(health: Health) -> None:
            self._memory.health[name] = health
            self._changed()

        def failed(kind: str, text: str) -> None:
            self._parts.record(Record(dict(pod), "Unhealthy", f"{kind.capitalize()} probe failed: {text}", "Warning"))

        prober = Prober(item, run.attempt, question, self._parts.clock, Reports(changed, failed))
        before = self._memory.health.get(name)
        if before is not None and before.attempt == run.attempt:
            age = (self._parts.clock.now() - run.started_at).total_seconds()
            prober.resume(before, age, zlib.crc32(f"{uid}/{name}".encode()) / 2**32)
        self._memory.health[name] = prober.health
        self._watches[name] = _Watch(run.attempt, prober, asyncio.create_task(prober.run(), name=f"probes of {name}"))
