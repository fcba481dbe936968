"""Memory, CPU and process limits, and what a container uses.

Where control groups can be written (by trial, both hierarchies) the kernel enforces the limits. Where they cannot, the
shim samples the resident memory of the container's processes and kills it above its limit; CPU limits then do nothing.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass

from dabbawala.cluster.sandbox import spec

_ROOT = "/sys/fs/cgroup"
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PERIOD_US = 100_000
_QUOTA_MIN_US = 1_000  # the kernel refuses less; a limit below 10m gets as much as 10m, as on Kubernetes
_MAX_TREE = 4096
SAMPLE_SECONDS = 0.25
_SWEEPS = 50
_SWEEP_SECONDS = 0.02


def _write(path: str, value: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class ControlGroups:
    """Where this cluster may make groups: a directory per v1 controller, or one for v2. Empty when nowhere."""

    version: int
    bases: dict[str, str]

    def limit(self, name: str, limits: spec.Limits) -> tuple[str, ...]:
        """Make a container's groups; the files to write a joining process into. OSError leaves none behind."""
        if limits == spec.Limits():
            return ()
        try:
            return tuple(self._make(f"{base}/{name}", controller, limits) for controller, base in self.bases.items())
        except OSError:
            self.remove(name)
            raise

    def _make(self, path: str, controller: str, limits: spec.Limits) -> str:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path)
        for file, value in self._settings(controller, limits):
            _write(f"{path}/{file}", value)
        return f"{path}/cgroup.procs"

    def _settings(self, controller: str, limits: spec.Limits) -> list[tuple[str, str]]:
        quota = str(max(limits.cpu_milli * _PERIOD_US // 1000, _QUOTA_MIN_US))
        if self.version == 1:
            wanted = {
                "memory": [("memory.limit_in_bytes", str(limits.memory_bytes))] if limits.memory_bytes else [],
                "cpu": [("cpu.cfs_quota_us", quota)] if limits.cpu_milli else [],
                "pids": [("pids.max", str(limits.pids))] if limits.pids else [],
            }
            return wanted[controller]
        settings = []
        if limits.memory_bytes:
            settings += [("memory.max", str(limits.memory_bytes)), ("memory.oom.group", "0")]
        if limits.cpu_milli:
            settings.append(("cpu.max", f"{quota} {_PERIOD_US}"))
        if limits.pids:
            settings.append(("pids.max", str(limits.pids)))
        return settings

    def out_of_memory(self, name: str) -> bool:
        """Whether the kernel has killed something in the group for its memory limit."""
        file = f"{self.bases['memory']}/{name}/memory.oom_control" if self.version == 1 else ""
        if self.version == 2:
            file = f"{self.bases['']}/{name}/memory.events"
        return any(line.split() and line.split()[0] == "oom_kill" and line.split()[1] != "0" for line in _lines(file))

    def remove(self, name: str) -> None:
        for base in self.bases.values():
            with contextlib.suppress(OSError):
                os.rmdir(f"{base}/{name}")


def _lines(path: str) -> list[str]:
    return _read(path).splitlines() if path else []


NONE = ControlGroups(0, {})


def detect(label: str) -> ControlGroups:
    """Find by trial where groups with limits can be made; `label` names this cluster's directory there."""
    own = {}
    for line in _lines("/proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            own[controller] = path
    return _detect_v1(own, label) or _detect_v2(own, label) or NONE


def _detect_v1(own: dict[str, str], label: str) -> ControlGroups | None:
    bases: dict[str, str] = {}
    for controller, trial in _V1_TRIAL.items():
        base = f"{_ROOT}/{controller}{own.get(controller, '/').rstrip('/')}/{label}"
        if controller not in own or not _try(base, trial):
            for made in bases.values():
                _remove(made)
            return None
        bases[controller] = base
    return ControlGroups(1, bases)


_V1_TRIAL = {
    "memory": [("memory.limit_in_bytes", "1073741824")],
    "cpu": [("cpu.cfs_quota_us", "100000")],
    "pids": [("pids.max", "100")],
}
_V2_TRIAL = [("memory.max", "1073741824"), ("cpu.max", "100000 100000"), ("pids.max", "100")]


def _detect_v2(own: dict[str, str], label: str) -> ControlGroups | None:
    for mount in (_ROOT, f"{_ROOT}/unified"):
        for path in dict.fromkeys((own.get("", "/").rstrip("/"), "")):
            base = f"{mount}{path}/{label}"
            with contextlib.suppress(OSError):
                os.mkdir(base)
                _write(f"{base}/cgroup.subtree_control", "+memory +cpu +pids")
                if _try(f"{base}/trial", _V2_TRIAL):
                    os.rmdir(f"{base}/trial")
                    return ControlGroups(2, {"": base})
            _remove(base)
    return None


def _try(base: str, settings: list[tuple[str, str]]) -> bool:
    """Make the directory and, below it, a group with a limit: what will be done for every container."""
    trial = f"{base}/trial"
    try:
        os.makedirs(trial, exist_ok=True)
        for file, value in settings:
            _write(f"{trial}/{file}", value)
        os.rmdir(trial)
    except OSError:
        with contextlib.suppress(OSError):
            os.rmdir(trial)
        _remove(base)
        return False
    return True


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.rmdir(path)


def sweep(bases: list[str]) -> None:
    """Remove the groups of a cluster that has ended. The kernel lets go of a group a moment after its last process."""
    for _ in range(_SWEEPS):
        for base in bases:
            with contextlib.suppress(OSError):
                for entry in os.scandir(base):
                    if entry.is_dir(follow_symlinks=False):
                        _remove(entry.path)
            _remove(base)
        if not any(os.path.exists(base) for base in bases):
            return
        time.sleep(_SWEEP_SECONDS)


def tree(roots: list[int]) -> list[int]:
    """The processes and all their descendants, as far as they can be seen."""
    found: list[int] = []
    waiting = list(roots)
    while waiting and len(found) < _MAX_TREE:
        pid = waiting.pop()
        found.append(pid)
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                waiting.extend(int(child) for child in _read(f"/proc/{pid}/task/{thread}/children").split())
    return found


def usage(pids: list[int]) -> tuple[int, int]:
    """CPU time so far in nanoseconds (children that were waited for included) and resident bytes of processes."""
    cpu = memory = 0
    for pid in pids:
        text = _read(f"/proc/{pid}/stat")
        if not text:
            continue
        fields = text.rsplit(")", 1)[1].split()
        cpu += sum(int(value) for value in fields[11:15]) * _TICK_NS
        memory += int(fields[21]) * _PAGE
    return cpu, memory
