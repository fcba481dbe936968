"""What the pods of a node use: the Summary API, and the same as metrics.

Sources: k8s.io/kubelet/pkg/apis/stats/v1alpha1, pkg/kubelet/metrics/collectors/resource_metrics.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from dabbawala.apimachinery import clock as clocks
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.kubelet.agent import Agent
from dabbawala.cluster.kubelet.node import NodeIdentity
from dabbawala.cluster.kubelet.runtimes.runtime import RuntimeFailure

FRESH_SECONDS = 1.0
FIRST_WINDOW_SECONDS = 0.25
"""A rate needs two looks: the first request for a container takes this long."""


@dataclass(frozen=True, slots=True)
class ContainerSample:
    """CPU time so far and per second now (nanoseconds, nano-cores), resident memory (bytes)."""

    name: str
    cpu_ns: int
    nano_cores: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Sample:
    """All running containers of the node at one moment."""

    at: datetime
    monotonic: float
    pods: dict[tuple[ObjectKey, str], tuple[ContainerSample, ...]] = field(default_factory=dict)

    def containers(self) -> Iterator[tuple[ObjectKey, ContainerSample]]:
        for (key, _), samples in self.pods.items():
            for sample in samples:
                yield key, sample


class Sampler:
    """Looks at most once a second, however many ask."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._last: Sample | None = None

    async def sample(self) -> Sample:
        clock = self._agent.parts.clock
        if self._last is not None and clock.monotonic() - self._last.monotonic < FRESH_SECONDS:
            return self._last
        found = await self._look()
        if any(not one.nano_cores for _, one in found.containers()) and self._is_first(found):
            self._last = found
            await clock.sleep(FIRST_WINDOW_SECONDS)
            found = await self._look()
        self._last = found
        return found

    def _is_first(self, found: Sample) -> bool:
        return self._last is None or bool(found.pods.keys() - self._last.pods.keys())

    async def _look(self) -> Sample:
        clock = self._agent.parts.clock
        now = Sample(clock.now(), clock.monotonic())
        for key, worker in list(self._agent.workers.items()):
            if not worker.state.address:
                continue
            identity = (key, worker.state.uid)
            try:
                usages = await self._agent.parts.runtime.usage(worker.state.uid)
            except RuntimeFailure:
                continue
            before = {one.name: one for one in self._last.pods.get(identity, ())} if self._last else {}
            now.pods[identity] = tuple(
                ContainerSample(
                    one.name, one.cpu_ns, self._rate(one.cpu_ns, before.get(one.name), now), one.memory_bytes
                )
                for one in usages
            )
        return now

    def _rate(self, cpu_ns: int, before: ContainerSample | None, now: Sample) -> int:
        if before is None or self._last is None or now.monotonic <= self._last.monotonic:
            return 0
        return max(0, int((cpu_ns - before.cpu_ns) / (now.monotonic - self._last.monotonic)))


def summary(identity: NodeIdentity, sample: Sample) -> Object:
    """The Summary API's answer. The node's usage is what its pods use: several nodes may share one machine."""
    every = [one for _, one in sample.containers()]
    stamp = clocks.format_time(sample.at)
    return {
        "node": {"nodeName": identity.name, **_usage(stamp, every)},
        "pods": [
            {
                "podRef": {"name": key.name, "namespace": key.namespace, "uid": uid},
                "containers": [{"name": one.name, **_usage(stamp, [one])} for one in containers],
                **_usage(stamp, list(containers)),
            }
            for (key, uid), containers in sample.pods.items()
        ],
    }


def _usage(stamp: str, samples: list[ContainerSample]) -> Object:
    memory = sum(one.memory_bytes for one in samples)
    return {
        "cpu": {
            "time": stamp,
            "usageNanoCores": sum(one.nano_cores for one in samples),
            "usageCoreNanoSeconds": sum(one.cpu_ns for one in samples),
        },
        "memory": {"time": stamp, "usageBytes": memory, "workingSetBytes": memory, "rssBytes": memory},
    }


def exposition(sample: Sample) -> str:
    """The resource metrics in the Prometheus text format."""
    lines = [
        "# HELP container_cpu_usage_seconds_total Cumulative cpu time consumed by the container in core-seconds",
        "# TYPE container_cpu_usage_seconds_total counter",
        *(f"container_cpu_usage_seconds_total{_labels(key, one)} {one.cpu_ns / 1e9}"
          for key, one in sample.containers()),
        "# HELP container_memory_working_set_bytes Current working set of the container in bytes",
        "# TYPE container_memory_working_set_bytes gauge",
        *(f"container_memory_working_set_bytes{_labels(key, one)} {one.memory_bytes}"
          for key, one in sample.containers()),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _labels(key: ObjectKey, one: ContainerSample) -> str:
    return f'{{container="{one.name}",namespace="{key.namespace}",pod="{key.name}"}}'
