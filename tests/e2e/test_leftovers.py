"""After `dabba down` nothing of the cluster is left on the machine but its state, whatever it had been doing."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e import clusters
from tests.e2e.clusters import until
from tests.e2e.conftest import Dabba
from tests.kubectl import Kubectl

NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
WEB = Path(__file__).with_name("testdata") / "web"
POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  volumes: [{name: scratch, emptyDir: {}}]
  containers:
  - {name: web, image: "left:v1", imagePullPolicy: Never, volumeMounts: [{name: scratch, mountPath: /scratch}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080, nodePort: 31872}]}
"""


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


@pytest.fixture
def busy(process_pods: None, binaries: dict[str, Path]) -> Iterator[Dabba]:
    """A cluster of two nodes with a pod, a volume and a node port."""
    with clusters.private() as dabba:
        dabba("image", "build", str(WEB), "-t", "left:v1")
        dabba("up", "--nodes", "2")
        kubectl = Kubectl(binaries["kubectl"], dabba.kubeconfig(), dabba.home)
        kubectl("apply", "-f", "-", stdin=POD)
        kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=30s")
        yield dabba


def test_nothing_is_left_after_a_cluster_is_taken_down(busy: Dabba) -> None:
    before = traces(busy)
    assert len(before.processes) > 8
    assert len(before.namespaces) > 5
    busy("down")
    assert_nothing_left(busy, before)


def test_nothing_is_left_when_the_control_plane_had_been_killed_before(busy: Dabba) -> None:
    before = traces(busy)
    os.kill(clusters.control_plane(busy), signal.SIGKILL)
    assert "is down" in busy("down")
    assert_nothing_left(busy, before)


def test_nothing_is_left_when_the_sandbox_is_killed_and_a_new_start_repairs_it(busy: Dabba) -> None:
    """Everything in the sandbox dies with its first process; the control plane says so and ends too."""
    before = traces(busy)
    held = json.loads((clusters.run_folder(busy) / "holder.json").read_text())
    os.kill(held["pid"], signal.SIGKILL)
    until("all of it has ended", lambda: not any(start_time(pid) == born for pid, born in before.processes.items()))
    assert "already running" not in busy("up")
    after = traces(busy)
    busy("down")
    assert_nothing_left(busy, before)
    assert_nothing_left(busy, after)


def test_a_state_that_is_deleted_leaves_an_empty_home(busy: Dabba) -> None:
    busy("down", "--delete")
    assert list((busy.home / "data/dabbawala/clusters").iterdir()) == []
