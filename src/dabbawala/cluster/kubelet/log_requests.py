"""A request for a container's log, as the API server hands it on: which run, which part.

Source: core/v1 PodLogOptions.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from dabbawala.apimachinery import clock as clocks
from dabbawala.apimachinery import status
from dabbawala.apimachinery.clock import Clock
from dabbawala.cluster.kubelet import log_files
from dabbawala.cluster.kubelet.agent import Agent
from dabbawala.cluster.kubelet.log_files import LogOptions
from dabbawala.cluster.kubelet.worker import PodWorker

Query = Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which container's log, and the parameters of the request."""

    namespace: str
    pod: str
    container: str
    query: Query


def open_log(agent: Agent, wanted: Wanted) -> AsyncIterator[bytes]:
    """The log's bytes. Raises NotFound or BadRequest at once, before anything has been sent."""
    worker = agent.worker(wanted.namespace, wanted.pod)
    if worker is None:
        raise status.NotFound(f'pod "{wanted.pod}" is not on this node')
    attempt = _attempt(agent, worker, wanted)
    options = parse(wanted.query, agent.parts.clock)
    path = agent.parts.files.log(worker.state.uid, wanted.container, attempt)

    def running() -> bool:
        run = worker.state.memory.observe().last(wanted.container)
        return run is not None and run.attempt == attempt and run.is_running and not worker.state.finished

    return log_files.read(path, options, running, agent.parts.clock)


def _attempt(agent: Agent, worker: PodWorker, wanted: Wanted) -> int:
    """The number of the run whose log is wanted."""
    found = log_files.attempts(agent.parts.files, worker.state.uid, wanted.container)
    run = worker.state.memory.observe().last(wanted.container)
    current = found[-1] if found else None
    if run is None and current is None:
        raise status.BadRequest(f'container "{wanted.container}" in pod "{wanted.pod}" is waiting to start')
    if _first(wanted.query, "previous").lower() not in ("true", "1"):
        return current if current is not None else 0
    earlier = [one for one in found if one != current]
    if not earlier:
        raise status.BadRequest(f'previous terminated container "{wanted.container}" in pod "{wanted.pod}" not found')
    return earlier[-1]


def parse(query: Query, clock: Clock) -> LogOptions:
    """Raises BadRequest for a parameter that is not what it should be."""
    since = None
    try:
        if _first(query, "sinceTime"):
            since = clocks.parse_time(_first(query, "sinceTime"))
        elif _first(query, "sinceSeconds"):
            since = clock.now() - timedelta(seconds=int(_first(query, "sinceSeconds")))
        return LogOptions(
            follow=_first(query, "follow").lower() in ("true", "1"),
            tail_lines=_number(query, "tailLines"),
            since=since,
            limit_bytes=_number(query, "limitBytes"),
            timestamps=_first(query, "timestamps").lower() in ("true", "1"),
            stream={"Stdout": "stdout", "Stderr": "stderr"}.get(_first(query, "stream"), ""),
        )
    except ValueError as bad:
        raise status.BadRequest(f"log options: {bad}") from bad


def _first(query: Query, name: str) -> str:
    return query.get(name, [""])[0]


def _number(query: Query, name: str) -> int | None:
    text = _first(query, name)
    if not text:
        return None
    number = int(text)
    if number < 0:
        raise ValueError(f"{name} must not be negative")
    return number
