"""Real pods: processes in the real sandbox, run by the real agent."""

from __future__ import annotations

from tests.cluster.kubelet.node_world import NodeWorld, main_status


async def test_a_pod_runs_becomes_ready_and_goes(world: NodeWorld) -> None:
    await world.run("web", "echo hello; sleep 600")
    pod = await world.ready("web")
    assert pod["status"]["podIP"].startswith("10.42.1.")
    assert pod["status"]["hostIP"] == "10.42.1.1"
    assert (await world.logs("web")).strip() == "hello"
    await world.client.delete(__import__("dabbawala.api.core_v1", fromlist=["POD"]).POD, "web", "default")
    await world.gone("web")


async def test_a_pod_that_ends_succeeds(world: NodeWorld) -> None:
    await world.run("job", "exit 0", restartPolicy="Never")
    assert (await world.ended("job"))["status"]["phase"] == "Succeeded"
    await world.run("bad", "exit 3", restartPolicy="Never")
    bad = await world.ended("bad")
    assert bad["status"]["phase"] == "Failed"
    assert main_status(bad)["state"]["terminated"]["exitCode"] == 3
