"""What a node agent knows of one pod at one moment: the input of `plan` beside the pod itself.

It is gathered from the runtime (sandbox, runs), from the agent's own memory (images tried, probes, hooks, stops)
and, after a restart, from the last status the agent published. All values are frozen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from dabbawala.apimachinery.meta import Object


class RunState(StrEnum):
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class Run:
    """One start of a container. `attempt` counts from 0 and is its restart count. A `stale` run belongs to a
    sandbox that is gone: it is history, and says nothing about the present sandbox's init phase."""

    attempt: int
    state: RunState
    started_at: datetime
    finished_at: datetime | None = None
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    container_id: str = ""
    image_id: str = ""
    stale: bool = False

    @property
    def is_running(self) -> bool:
        return self.state is RunState.RUNNING


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The pod's namespaces. Not `alive`: the shim is gone and with it every process of the pod."""

    ip: str
    alive: bool = True


@dataclass(frozen=True, slots=True)
class ImageState:
    """The last answer about an image. `reason` is empty when it is present."""

    image_id: str = ""
    stop_signal: str = ""
    reason: str = ""
    message: str = ""
    failures: int = 0
    retry_at: datetime | None = None

    @property
    def is_present(self) -> bool:
        return not self.reason


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a container could not be started, and when to try again."""

    reason: str
    message: str
    retry_at: datetime


@dataclass(frozen=True, slots=True)
class Health:
    """The verdicts of a running container's probes. `restart` is why it must be killed, empty while it need not;
    `restart_grace` overrides the pod's grace for that (probe.terminationGracePeriodSeconds)."""

    attempt: int
    started: bool = False
    ready: bool = False
    restart: str = ""
    restart_grace: int | None = None


class HookState(StrEnum):
    NONE = "none"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop in progress of one run. `term_at` and `kill_at` are when the signals went out."""

    attempt: int
    since: datetime
    grace_seconds: int
    hook: HookState = HookState.NONE
    term_at: datetime | None = None
    kill_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Volumes:
    """`ready` when everything is in place; otherwise why not, and when to try again."""

    ready: bool = False
    message: str = ""
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything known of a pod on this node. Maps are by container name, `images` by image name.

    `runs` are oldest first, at most the last two. `address` is
    that of the last sandbox, also when it is gone. `crashes` counts starts after an exit in a row; `gone` means the
    API server no longer has the pod; `rejected` that this node refused it (reason, message); `published` is the last
    status change sent, which is not sent again to a server that answers without it.
    """

    sandbox: Sandbox | None = None
    address: str = ""
    runs: Mapping[str, tuple[Run, ...]] = field(default_factory=dict)
    images: Mapping[str, ImageState] = field(default_factory=dict)
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    health: Mapping[str, Health] = field(default_factory=dict)
    post_start: Mapping[str, HookState] = field(default_factory=dict)
    stops: Mapping[str, Stop] = field(default_factory=dict)
    crashes: Mapping[str, int] = field(default_factory=dict)
    volumes: Volumes = field(default_factory=Volumes)
    sandbox_failure: Waiting | None = None
    gone: bool = False
    rejected: tuple[str, str] | None = None
    published: Object | None = None

    def last(self, name: str) -> Run | None:
        runs = self.runs.get(name)
        return runs[-1] if runs else None

    def running(self, name: str) -> Run | None:
        run = self.last(name)
        return run if run is not None and run.is_running else None

    def any_running(self) -> bool:
        return any(runs and runs[-1].is_running for runs in self.runs.values())

    def healthy(self, name: str) -> Health | None:
        """The probes' verdicts on the present run, if they belong to it."""
        run, health = self.running(name), self.health.get(name)
        return health if run is not None and health is not None and health.attempt == run.attempt else None

    def is_started(self, name: str) -> bool:
        """Running, its postStart hook done and its startup probe passed."""
        health = self.healthy(name)
        return health is not None and health.started and self.post_start.get(name) is not HookState.RUNNING

    def is_ready(self, name: str) -> bool:
        health = self.healthy(name)
        return health is not None and health.ready and self.is_started(name)
