"""After `dabba down` nothing of the cluster is left on the machine but its state, whatever it had been doing."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import clusters
from tests.e2e.clusters import until
from tests.e2e.conftest import Dabba
from tests.e2e.leftovers import assert_nothing_left, start_time, traces
from tests.kubectl import Kubectl

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
