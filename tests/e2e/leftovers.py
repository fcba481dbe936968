"""What a cluster has on the machine while it runs, and the proof that nothing of it is left."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from tests.e2e import clusters
from tests.e2e.conftest import Dabba

NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


@dataclass(frozen=True)
class Traces:
    """What a running cluster has on the machine. Processes by pid and start time, namespaces by inode, and all that
    ran on the machine then: the kernel gives the inode of a namespace that is gone to the next one."""

    processes: dict[int, str]
    namespaces: set[str]
    cgroups: set[Path]
    everybody: dict[int, str]


def start_time(pid: int) -> str | None:
    """None when it has ended; that the machine's init has not asked how is not our business."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def namespaces_of(pid: int) -> set[str]:
    found = set()
    for kind in NAMESPACES:
        try:
            found.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
        except OSError:
            continue
    return found


def traces(dabba: Dabba) -> Traces:
    pids = clusters.processes(dabba)
    recorded = clusters.run_folder(dabba) / "cgroups.json"
    cgroups = {Path(path) for path in json.loads(recorded.read_text())} if recorded.exists() else set()
    used = set().union(*(namespaces_of(pid) for pid in pids))
    return Traces(
        {pid: started for pid in pids if (started := start_time(pid))},
        used - namespaces_of(os.getpid()),
        cgroups,
        everybody(),
    )


def sockets_below(home: Path) -> list[str]:
    """Unix sockets that something still has open."""
    return [line for line in Path("/proc/net/unix").read_text().splitlines() if str(home) in line]


def everybody() -> dict[int, str]:
    """All live processes."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return {pid: started for pid in pids if (started := start_time(pid))}


def assert_nothing_left(dabba: Dabba, before: Traces) -> None:
    alive = {pid for pid, started in before.processes.items() if start_time(pid) == started}
    assert alive == set(), "processes are left"
    still = [pid for pid, started in everybody().items() if before.everybody.get(pid) == started]
    held = {space for pid in still for space in namespaces_of(pid)} & before.namespaces
    assert held == set(), "somebody is still in a namespace of the cluster"
    assert str(dabba.home) not in Path("/proc/self/mountinfo").read_text(), "mounts are left"
    assert [path for path in before.cgroups if path.exists()] == [], "control groups are left"
    assert sockets_below(dabba.home) == []
    left = list((dabba.home / "run" / "dabbawala").iterdir())
    assert left == [], "the run directory is left"


def nothing_yet() -> Traces:
    """For what is ended before there is a cluster."""
    return Traces({}, set(), set(), everybody())


def mentioning(home: Path) -> list[str]:
    """Command lines of live processes that have that folder on them or in their environment."""
    return [name for pid in everybody() if (name := _mention(pid, str(home).encode()))]


def _mention(pid: int, word: bytes) -> str:
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
        known = line + Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return ""
    return line.replace(b"\0", b" ").decode(errors="replace") if word in known else ""
