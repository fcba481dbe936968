"""A pod that names a RuntimeClass is scheduled by a label, so the nodes of that runtime must carry it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dabbawala.api import node_v1
from dabbawala.cluster.kubelet import __main__ as agent
from dabbawala.cluster.kubelet import simulated_kubelet
from dabbawala.cluster.supervisor import bootstrap

AGENT = ("--node", "node-1", "--address", "10.42.1.1", "--token-file", "token")


def process_labels(folder: Path) -> dict[str, str]:
    folders = [word for flag in ("--run-dir", "--data-dir", "--images") for word in (flag, str(folder))]
    return dict(agent.node_plan(agent.parser().parse_args([*AGENT, *folders])).labels)


@pytest.mark.parametrize("runtime", ["process", "simulated"])
def test_a_runtime_class_finds_the_nodes_of_its_runtime(runtime: str, tmp_path: Path) -> None:
    simulated = dict(simulated_kubelet.simulated_nodes(1)[0].labels)
    labels = process_labels(tmp_path) if runtime == "process" else simulated
    classes = {obj["metadata"]["name"]: obj for kind, obj in bootstrap.objects() if kind is node_v1.RUNTIME_CLASS}
    assert classes[runtime]["scheduling"]["nodeSelector"].items() <= labels.items()
