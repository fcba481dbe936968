"""What is asked of the sandbox: a pod, a container in it, a command in that, a named process.

Plain frozen values that travel as JSON. They say what to run and what it may see; where a value has a Kubernetes field
of the same meaning, it has that name.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mount:
    """A host file or directory at a place in the container, with all that is mounted below it.

    `source` has no links in it. `sub_path` is what to show of it; links on that way must stay inside the source.
    """

    source: str
    target: str
    read_only: bool = False
    sub_path: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Zero means no limit. Memory in bytes, CPU in thousandths of a core, pids as a count of processes and threads."""

    memory_bytes: int = 0
    cpu_milli: int = 0
    pids: int = 0


@dataclass(frozen=True, slots=True)
class User:
    """Who the processes of a container are, as they themselves see it."""

    uid: int = 0
    gid: int = 0
    supplemental_groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PodSpec:
    """The sandbox of one pod: its place on a node's network and what its containers share.

    `state_dir` is a host directory (made if missing, never removed by the sandbox) for exit records.
    `hosts` and `resolv_conf` are the text of those files.
    """

    uid: str
    namespace: str
    name: str
    node: str
    address: str
    hostname: str
    state_dir: str
    hosts: str = ""
    resolv_conf: str = ""
    share_process_namespace: bool = False
    sysctls: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One run of a container. `attempt` counts its restarts; `log_path` is the CRI log file of this run.

    `image_root` is a host directory that holds the image's files at their final paths; `host_paths` are host
    directories shown read-only at their own place (an interpreter that lives outside /usr).
    """

    name: str
    argv: tuple[str, ...]
    log_path: str
    attempt: int = 0
    env: dict[str, str] = field(default_factory=dict)
    cwd: str = "/"
    image_root: str = ""
    host_paths: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    user: User = User()
    read_only_root: bool = False
    limits: Limits = Limits()
    tty: bool = False
    stdin: bool = False
    termination_message_path: str = "/dev/termination-log"


@dataclass(frozen=True, slots=True)
class ExecSpec:
    """A further command in a running container; it sees that container's files, processes and network.

    With `ends_with_client` it is killed, and with it its process group, when whoever asked for it hangs up.
    """

    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    cwd: str = ""
    tty: bool = False
    stdin: bool = False
    columns: int = 80
    rows: int = 24
    ends_with_client: bool = False


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A named process of the cluster (Envoy, an agent): in a node's network, or in the host's with `node` empty.

    `with_network_of` hands it the descriptor of a node's network namespace, its number in DABBAWALA_NETNS.
    """

    name: str
    argv: tuple[str, ...]
    log_path: str
    env: dict[str, str] = field(default_factory=dict)
    cwd: str = "/"
    node: str = ""
    with_network_of: str = ""


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """What is known of one run. Times are seconds since the epoch, 0 for not yet.

    `exit_code` follows the shell (128 + signal); `message` is the termination message, or why it could not start.
    """

    name: str
    attempt: int
    state: str  # created | running | exited
    pid: int = 0
    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int = 0
    signal: int = 0
    oom: bool = False
    message: str = ""


@dataclass(frozen=True, slots=True)
class PodStatus:
    """A pod as its shim reports it; `alive` is False when the shim has died and taken the containers with it."""

    uid: str
    namespace: str
    name: str
    node: str
    address: str
    alive: bool
    containers: tuple[ContainerStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerUsage:
    """CPU time used so far (nanoseconds) and resident memory now (bytes) of a running container."""

    name: str
    cpu_ns: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """A named process: running, or how its last run ended."""

    name: str
    running: bool
    pid: int = 0
    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int = 0
    signal: int = 0
    node: str = ""


def message_file(pod: PodSpec, container: ContainerSpec) -> str:
    """The host file behind a run's termination message path."""
    return f"{pod.state_dir}/{container.name}-{container.attempt}.message"


def to_json(value: Any) -> Json:
    return dataclasses.asdict(value)


def pod_from(data: Json) -> PodSpec:
    return PodSpec(**data)


def container_from(data: Json) -> ContainerSpec:
    values = dict(data)
    values["argv"] = tuple(values["argv"])
    values["host_paths"] = tuple(values.get("host_paths", ()))
    values["mounts"] = tuple(Mount(**mount) for mount in values.get("mounts", ()))
    user = dict(values.get("user") or {})
    user["supplemental_groups"] = tuple(user.get("supplemental_groups", ()))
    values["user"] = User(**user)
    values["limits"] = Limits(**(values.get("limits") or {}))
    return ContainerSpec(**values)


def exec_from(data: Json) -> ExecSpec:
    return ExecSpec(**{**data, "argv": tuple(data["argv"])})


def process_from(data: Json) -> ProcessSpec:
    return ProcessSpec(**{**data, "argv": tuple(data["argv"])})


def pod_status_from(data: Json) -> PodStatus:
    containers = tuple(ContainerStatus(**status) for status in data.get("containers", ()))
    return PodStatus(**{**data, "containers": containers})
