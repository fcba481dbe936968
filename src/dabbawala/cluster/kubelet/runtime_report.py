"""Taking what the runtime reports of a pod into the agent's memory of it."""

from __future__ import annotations

from datetime import UTC, datetime

from dabbawala.cluster.kubelet.memory import Memory
from dabbawala.cluster.kubelet.observed import Run, RunState, Sandbox
from dabbawala.cluster.sandbox.spec import ContainerStatus, PodStatus


def take_in(memory: Memory, report: PodStatus | None, now: datetime) -> None:
    """The runtime is right about what runs. A sandbox that it no longer knows is lost, with everything in it."""
    if report is None:
        if memory.sandbox is not None:
            memory.lose_sandbox(now)
        return
    memory.have_sandbox(Sandbox(report.address, report.alive))
    for status in sorted(report.containers, key=lambda one: one.attempt):
        if status.state in ("running", "exited"):
            _take_in_run(memory, report.uid, status)
    if not report.alive:
        _end_all(memory, now)


def _take_in_run(memory: Memory, uid: str, status: ContainerStatus) -> None:
    known = memory.runs.get(status.name, ())
    last = known[-1] if known else None
    if last is not None and last.attempt > status.attempt:
        return
    image_id = last.image_id if last is not None else ""
    memory.add_run(status.name, _run(uid, status, image_id))


def _run(uid: str, status: ContainerStatus, image_id: str) -> Run:
    identity = f"process://{uid}/{status.name}/{status.attempt}"
    began = _moment(status.started_at or status.finished_at)
    if status.state == "running":
        return Run(status.attempt, RunState.RUNNING, began, container_id=identity, image_id=image_id)
    return Run(
        status.attempt, RunState.EXITED, began, _moment(status.finished_at), exit_code=status.exit_code,
        reason=_reason(status), message=status.message, container_id=identity, image_id=image_id,
    )  # fmt: skip


def _reason(status: ContainerStatus) -> str:
    if status.oom:
        return "OOMKilled"
    if not status.started_at:
        return "StartError"
    return "Completed" if status.exit_code == 0 else "Error"


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _end_all(memory: Memory, now: datetime) -> None:
    """The shim has died and its containers with it, without a word about how."""
    sandbox = memory.sandbox
    memory.lose_sandbox(now)
    memory.sandbox = sandbox
