"""The processes: Envoys that crash, nodes that come and go, ports of the host that are taken, a control plane that
starts anew."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from dabbawala.api import core_v1, istio_networking_v1
from dabbawala.apimachinery import conditions
from dabbawala.apimachinery.meta import Object
from dabbawala.client.client import Client
from dabbawala.cluster.dataplane import keeper, plan
from dabbawala.cluster.dataplane.keeper import LOOP_AFTER
from tests.cluster.dataplane.lab import Crowd, ask, eventually, lab, network

PORT = {"port": 8000, "targetPort": 8080}


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dp")


async def test_an_envoy_that_dies_is_started_again_with_what_it_ran(run: Path) -> None:
    net = network(40)
    async with lab(run, node=f"{net}.254") as world:
        program = await world.program("a", f"{net}.10")
        await world.service("web", f"{net}.1")
        await world.endpoints("web", [program])
        await world.served("web")
        world.spawner.kill("envoy-node-1")
        await eventually(lambda: world.spawner.starts["envoy-node-1"] == 2)
        await eventually(lambda: world.plane.verdicts["node-1"].accepted)
        assert await ask(f"{net}.1", 8000) == (200, "a")


async def test_an_envoy_that_keeps_dying_is_named_in_the_status_of_what_waits_for_it(run: Path) -> None:
    net = network(41)
    async with lab(run, node=f"{net}.254") as world:
        await world.service("web", f"{net}.1")
        await world.served("web")
        world.spawner.refusal = "no such file"
        world.spawner.kill("envoy-node-1")
        await world.service("more", f"{net}.2")
        said = await world.said(core_v1.SERVICE, "more", "dabbawala.dev/Programmed", status="False")
        assert said["reason"] == "NodesPending"
        assert "node-1: " in said["message"]
        await eventually(lambda: f"{LOOP_AFTER} times in a row" in world.plane.troubles.get("node-1", ""))
        await recorded(world.client, "EnvoyCrashing")
        assert "could not be started: no such file" in world.plane.troubles["node-1"]
        world.spawner.refusal = ""
        await world.served("more")


async def test_envoys_that_crash_in_a_loop_are_told_on_what_they_harm_until_they_run_again(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "HEALTHY_SECONDS", 0.5)
    monkeypatch.setattr(keeper, "LAST_PAUSE_SECONDS", 0.2)
    broken = run / "broken"
    broken.write_text("#!/bin/sh\necho 'envoy: GLIBC_2.99 not found' >&2\nexit 3\n")
    broken.chmod(0o755)
    net = network(48)
    async with lab(run, node=f"{net}.254", edge_address=f"{net}.200") as world:
        program = await world.program("a", f"{net}.10")
        await world.service("web", "", type="NodePort", ports=[{**PORT, "nodePort": 30580}])
        await world.endpoints("web", [program])
        await world.served("web")
        assert conditions.find(await world.client.get(core_v1.NODE, "node-1"), plan.DATA_PLANE_READY) is None
        world.spawner.program = str(broken)
        for name in ("envoy-node-1", "envoy-edge"):
            world.spawner.kill(name)
        message = (await data_plane_ready(world.client, "False"))["message"]
        assert "ended with status 3 (envoy: GLIBC_2.99 not found)" in message
        assert "`dabba logs envoy-node-1`" in message
        said = await world.said(core_v1.SERVICE, "web", plan.REACHABLE, status="False")
        assert said["reason"] == "EnvoyCrashing"
        assert "`dabba logs envoy-edge`" in said["message"]
        world.spawner.program = ""
        await data_plane_ready(world.client, "True")
        await world.said(core_v1.SERVICE, "web", plan.REACHABLE)
        assert await ask(f"{net}.200", 30580) == (200, "a")


async def test_a_service_is_programmed_only_when_every_node_runs_it(run: Path) -> None:
    """Both nodes are in one network here, so the second cannot have the Service's address."""
    net = network(42)
    async with lab(run, node=f"{net}.254") as world:
        program = await world.program("a", f"{net}.10")
        await world.service("web", f"{net}.1", type="NodePort", ports=[{**PORT, "nodePort": 30180}])
        await world.endpoints("web", [program])
        await world.served("web")
        await world.node("node-2", f"{net}.253")
        said = await world.said(core_v1.SERVICE, "web", "dabbawala.dev/Programmed", status="False")
        assert said["message"].startswith(f"node-2: Envoy cannot listen for shop_web_8000: cannot bind '{net}.1:8000'")
        assert await ask(f"{net}.253", 30180) == (200, "a")
        await world.client.delete(core_v1.NODE, "node-2")
        await world.served("web")
        await eventually(lambda: world.spawner.running["envoy-node-2"].returncode is not None)
        assert await ask(f"{net}.254", 30180) == (200, "a")


async def test_the_host_reaches_a_node_port_through_the_edge(run: Path) -> None:
    net = network(43)
    async with lab(run, node=f"{net}.254", edge_address=f"{net}.200") as world:
        program = await world.program("a", f"{net}.10")
        await world.service("web", "", type="NodePort", ports=[{**PORT, "nodePort": 30280}])
        await world.endpoints("web", [program])
        await world.served("web")
        await eventually(lambda: world.plane.verdicts["edge"].accepted)
        async with Crowd(f"{net}.200", 30280) as crowd:
            await crowd.until(lambda: crowd.seen["a"] > 20)
            await world.node("node-2", f"{net}.253")
            await eventually(lambda: "node-2" in world.plane.verdicts and world.plane.verdicts["node-2"].settled)
            seen = crowd.seen["a"]
            await crowd.until(lambda: crowd.seen["a"] > seen + 50)
        assert crowd.failed == []


async def test_the_edge_passes_over_a_node_whose_envoy_is_gone(run: Path) -> None:
    net = network(44)
    async with lab(run, node=f"{net}.254", edge_address=f"{net}.200") as world:
        program = await world.program("a", f"{net}.10")
        await world.node("node-2", f"{net}.253")
        await world.service("web", "", type="NodePort", ports=[{**PORT, "nodePort": 30380}])
        await world.endpoints("web", [program])
        await eventually(lambda: len(world.plane.verdicts) == 3)
        await eventually(lambda: all(verdict.settled for verdict in world.plane.verdicts.values()))
        world.spawner.refusal = "kept down"
        world.spawner.kill("envoy-node-1")
        await eventually(lambda: world.plane.troubles.get("node-1"))
        assert [await ask(f"{net}.200", 30380) for _ in range(10)] == [(200, "a")] * 10


async def test_a_taken_port_is_told_with_its_remedy_and_served_once_it_is_free(run: Path) -> None:
    net = network(45)
    squatter = await asyncio.start_server(lambda reader, writer: writer.close(), f"{net}.200", 30480)
    async with lab(run, node=f"{net}.254", edge_address=f"{net}.200") as world:
        program = await world.program("a", f"{net}.10")
        await world.service("web", "", type="NodePort", ports=[{**PORT, "nodePort": 30480}])
        await world.endpoints("web", [program])
        await world.served("web")  # inside the cluster all is well
        said = await world.said(core_v1.SERVICE, "web", "dabbawala.dev/Reachable", status="False")
        assert said["reason"] == "PortTaken"
        assert f"node port 30480 cannot be served at {net}.200" in said["message"]
        assert "choose another nodePort" in said["message"]
        await recorded(world.client, "NodePortTaken")
        squatter.close()
        await squatter.wait_closed()
        await world.said(core_v1.SERVICE, "web", "dabbawala.dev/Reachable")
        assert await ask(f"{net}.200", 30480) == (200, "a")


async def test_a_control_plane_that_starts_anew_disturbs_no_request(run: Path) -> None:
    net = network(46)
    async with lab(run, node=f"{net}.254") as world:
        program = await world.program("a", f"{net}.10")
        await world.service("web", f"{net}.1")
        await world.endpoints("web", [program])
        await world.served("web")
        async with Crowd(f"{net}.1", 8000) as crowd:
            await crowd.until(lambda: crowd.seen["a"] > 20)
            await world.restart_control_plane()
            await world.virtual_service("web", http=[{"route": [{"destination": {"host": "web"}}]}])
            await world.said(istio_networking_v1.VIRTUAL_SERVICE, "web", "Programmed")
            seen = crowd.seen["a"]
            await crowd.until(lambda: crowd.seen["a"] > seen + 20)
        assert crowd.failed == []
        assert world.spawner.starts["envoy-node-1"] == 1


async def test_a_folder_that_cannot_be_written_ends_nothing(run: Path) -> None:
    net = network(47)
    async with lab(run, node=f"{net}.254") as world:
        program = await world.program("a", f"{net}.10")
        await world.service("web", f"{net}.1")
        await world.endpoints("web", [program])
        await world.served("web")
        folder = run / "nodes" / "node-1" / "xds"
        (folder / "eds").rename(folder / "kept")
        (folder / "eds").write_text("in the way")
        await world.service("more", f"{net}.2")
        await eventually(lambda: "could not be brought up to date" in world.plane.trouble)
        assert await ask(f"{net}.1", 8000) == (200, "a")
        (folder / "eds").unlink()
        (folder / "kept").rename(folder / "eds")
        await world.served("more")
        await eventually(lambda: world.plane.trouble == "")


async def data_plane_ready(client: Client, status: str) -> Object:
    """The node's condition, once it has that status."""
    async with asyncio.timeout(10):
        while True:
            found = conditions.find(await client.get(core_v1.NODE, "node-1"), plan.DATA_PLANE_READY)
            if found is not None and found["status"] == status:
                return found
            await asyncio.sleep(0.01)


async def recorded(client: Client, reason: str) -> None:
    """Wait for an event with that reason."""
    async with asyncio.timeout(10):
        while all(event.get("reason") != reason for event in (await client.list(core_v1.EVENT)).items):
            await asyncio.sleep(0.01)
