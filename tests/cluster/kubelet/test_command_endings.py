"""Commands of probes and hooks in containers: they end when the time for them has, with what they started."""

from __future__ import annotations

import asyncio

import pytest

from dabbawala.api import core_v1
from dabbawala.cluster.sandbox.spec import ExecSpec
from tests.cluster.kubelet.node_world import NodeWorld, main_status

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def said(world: NodeWorld, uid: str, script: str) -> str:
    session = await world.holder.exec(uid, "main", ExecSpec(("sh", "-c", script)))
    try:
        output = b"".join([data async for _, data in session.output()])
        await session.wait()
    finally:
        session.close()
    return output.decode().strip()


async def sleeping(world: NodeWorld, uid: str, seconds: str) -> int:
    """How many processes of the container are `sleep` with that argument."""
    each = 'for one in /proc/[0-9]*; do tr "\\0" " " < $one/cmdline; echo; done 2>/dev/null'
    return int(await said(world, uid, f'{each} | grep -c "^sleep {seconds}"'))


async def test_a_probe_that_takes_too_long_is_ended_with_its_children(world: NodeWorld) -> None:
    command = ["sh", "-c", "echo x >> /tmp/asked; sleep 987 & sleep 986; true"]
    probe = {"exec": {"command": command}, "periodSeconds": 1, "timeoutSeconds": 1}
    await world.run("slow", "exec sleep 600", readinessProbe=probe)
    await world.until("slow", lambda pod: "running" in main_status(pod)["state"])
    uid = (await world.pod("slow"))["metadata"]["uid"]
    async with asyncio.timeout(20):
        while int(await said(world, uid, "cat /tmp/asked 2>/dev/null | wc -l")) < 3:
            await asyncio.sleep(0.05)
    assert await sleeping(world, uid, "98[67]") <= 2


async def test_a_hook_that_uses_up_the_grace_is_ended_while_the_program_still_has_its_extension(
    world: NodeWorld,
) -> None:
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "sleep 985; true"]}}}
    script = "trap '' TERM; while true; do sleep 0.05; done"
    await world.run("hangs", script, lifecycle=hook, terminationGracePeriodSeconds=1)
    uid = (await world.ready("hangs"))["metadata"]["uid"]
    await world.client.delete(core_v1.POD, "hangs", "default")
    async with asyncio.timeout(10):
        while await sleeping(world, uid, "985") == 0:
            await asyncio.sleep(0.01)
        while await sleeping(world, uid, "985") > 0:
            await asyncio.sleep(0.01)
    await world.gone("hangs")


async def test_a_command_of_somebody_who_went_away_goes_on(world: NodeWorld) -> None:
    await world.run("left", "exec sleep 600")
    uid = (await world.ready("left"))["metadata"]["uid"]
    session = await world.holder.exec(uid, "main", ExecSpec(("sh", "-c", "sleep 1; touch /tmp/done; sleep 984")))
    session.close()
    async with asyncio.timeout(10):
        while await said(world, uid, "ls /tmp/done 2>/dev/null") != "/tmp/done":
            await asyncio.sleep(0.05)
    assert await sleeping(world, uid, "984") == 1
