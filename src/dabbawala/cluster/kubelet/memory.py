"""What an agent remembers of one pod between two looks, and how it is found again after a restart.

The runtime knows sandboxes and runs; the rest (images tried, probes, hooks, stops) is worth only as long as the agent
lives. What the runtime has forgotten, a sandbox that went with the machine's restart, comes back from the status last
published.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from dabbawala.apimachinery import clock
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.kubelet import pod_spec
from dabbawala.cluster.kubelet.observed import (
    Health,
    HookState,
    ImageState,
    Observed,
    Run,
    RunState,
    Sandbox,
    Stop,
    Volumes,
    Waiting,
)  # fmt: skip

KEPT_RUNS = 2
LOST_EXIT_CODE = 137
LOST_REASON = "ContainerStatusUnknown"
LOST_MESSAGE = "The container could not be located when the pod's sandbox was lost"


@dataclass(slots=True)
class Memory:
    """One pod's memory. `observe` gives the view that plans are made on; its maps are this object's own."""

    sandbox: Sandbox | None = None
    address: str = ""
    runs: dict[str, tuple[Run, ...]] = field(default_factory=dict)
    images: dict[str, ImageState] = field(default_factory=dict)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    health: dict[str, Health] = field(default_factory=dict)
    post_start: dict[str, HookState] = field(default_factory=dict)
    stops: dict[str, Stop] = field(default_factory=dict)
    crashes: dict[str, int] = field(default_factory=dict)
    volumes: Volumes = field(default_factory=Volumes)
    sandbox_failure: Waiting | None = None
    gone: bool = False
    rejected: tuple[str, str] | None = None
    published: Object | None = None

    def observe(self) -> Observed:
        return Observed(
            sandbox=self.sandbox, address=self.address, runs=self.runs, images=self.images, waiting=self.waiting,
            health=self.health, post_start=self.post_start, stops=self.stops, crashes=self.crashes,
            volumes=self.volumes, sandbox_failure=self.sandbox_failure, gone=self.gone, rejected=self.rejected,
            published=self.published,
        )  # fmt: skip

    def have_sandbox(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.address = sandbox.ip

    def add_run(self, name: str, run: Run) -> None:
        """A new run, or news of the last one (same attempt, same sandbox)."""
        known = self.runs.get(name, ())
        if known and known[-1].attempt == run.attempt and known[-1].stale == run.stale:
            known = known[:-1]
        self.runs[name] = (*known, run)[-KEPT_RUNS:]

    def end_run(self, name: str, *, at: datetime, exit_code: int, reason: str = "", message: str = "") -> None:
        run = self.runs[name][-1]
        self.add_run(name, replace(run, state=RunState.EXITED, finished_at=at, exit_code=exit_code, reason=reason,
                                   message=message))  # fmt: skip

    def lose_sandbox(self, now: datetime) -> None:
        """The sandbox is gone with everything in it: what ran has ended, and all runs are history."""
        self.sandbox = None
        self.runs = {name: tuple(_lost(run, now) for run in runs) for name, runs in self.runs.items()}
        self.health.clear()
        self.stops.clear()
        self.post_start.clear()


def _lost(run: Run, now: datetime) -> Run:
    if not run.is_running:
        return replace(run, stale=True)
    return replace(
        run, state=RunState.EXITED, finished_at=now, exit_code=LOST_EXIT_CODE, reason=LOST_REASON,
        message=LOST_MESSAGE, stale=True,
    )  # fmt: skip


def recall(pod: Mapping[str, Any], now: datetime, *, sandbox_alive: bool) -> Memory:
    """The memory of a pod as far as its published status tells. With `sandbox_alive` what it says to run still runs
    (simulated pods, which live nowhere else); otherwise its runs are history of a sandbox that is gone."""
    status = pod_spec.status(pod)
    memory = Memory()
    for field_name in ("initContainerStatuses", "containerStatuses"):
        for published in status.get(field_name) or ():
            for run in _runs(published):
                memory.add_run(published["name"], run)
            _recall_health(memory, published)
    if sandbox_alive and status.get("podIP"):
        memory.have_sandbox(Sandbox(status["podIP"]))
        memory.volumes = Volumes(ready=True)
    else:
        memory.lose_sandbox(now)
    return memory


def _recall_health(memory: Memory, published: Mapping[str, Any]) -> None:
    run = memory.runs.get(published["name"], (None,))[-1]
    if run is not None and run.is_running:
        ready, started = bool(published.get("ready")), bool(published.get("started"))
        memory.health[published["name"]] = Health(run.attempt, started=started, ready=ready)


def _runs(published: Mapping[str, Any]) -> Iterable[Run]:
    count = int(published.get("restartCount") or 0)
    state, last = published.get("state") or {}, (published.get("lastState") or {}).get("terminated")
    image_id = str(published.get("imageID") or "")
    if last:
        # A container that waits to be restarted shows its last run, whose number is the count itself.
        yield _ended(last, count if "waiting" in state else max(0, count - 1), image_id)
    if "running" in state:
        started = clock.parse_time(state["running"]["startedAt"])
        identity = str(published.get("containerID") or "")
        yield Run(count, RunState.RUNNING, started, container_id=identity, image_id=image_id)
    elif "terminated" in state:
        yield _ended(state["terminated"], count, image_id)


def _ended(state: Mapping[str, Any], attempt: int, image_id: str) -> Run:
    return Run(
        attempt, RunState.EXITED, clock.parse_time(state["startedAt"]), clock.parse_time(state["finishedAt"]),
        exit_code=int(state.get("exitCode") or 0), reason=str(state.get("reason") or ""),
        message=str(state.get("message") or ""), container_id=str(state.get("containerID") or ""), image_id=image_id,
    )  # fmt: skip
