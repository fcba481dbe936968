"""Pods and containers as an agent uses them."""

from __future__ import annotations

import json
import re
import signal

import pytest

from dabbawala.cluster.sandbox.client import HolderClient, HolderGone, SandboxError
from dabbawala.cluster.sandbox.spec import ExecSpec, Limits
from tests.cluster.sandbox.sandboxes import SERVER, World, until

_HOG = "import time\nheld = bytearray(96 << 20)\ntime.sleep(60)"


async def test_two_pods_listen_on_the_same_port_at_their_own_addresses(world: World) -> None:
    pods = [await world.pod(name) for name in ("one", "two")]
    for pod in pods:
        await world.start(pod.uid, *SERVER, cwd="/etc")
        assert (await world.get(pod.address, path="/hostname")).endswith(f"\r\n\r\n{pod.uid}\n".encode())


async def test_pods_of_two_nodes_reach_each_other_except_while_partitioned(two_nodes: World) -> None:
    server, caller = await two_nodes.pod("server", 2), await two_nodes.pod("caller", 1)
    await two_nodes.start("server", *SERVER, cwd="/etc")
    await two_nodes.start("caller", "sleep", "60")
    await two_nodes.get(server.address)
    connect = "import socket, sys; s = socket.create_connection((sys.argv[1], 8080), 0.3); print(s.getsockname()[0])"
    call = ("python3", "-c", connect, server.address)
    assert (await two_nodes.run("caller", *call)).out.strip() == caller.address
    await two_nodes.client.partition("node-2")
    assert (await two_nodes.run("caller", *call)).code == 1
    await two_nodes.client.heal("node-2")

    async def healed() -> bool:
        return (await two_nodes.run("caller", *call)).out.strip() == caller.address

    await until(healed, "the way to node-2, once the link has its carrier again")


async def test_containers_of_a_pod_share_localhost_but_neither_files_nor_processes(world: World) -> None:
    await world.pod("pod")
    await world.start("pod", *SERVER, name="web", cwd="/etc")
    await world.start("pod", "sh", "-c", "touch /tmp/mine; sleep 60", name="side")

    async def answered() -> bool:
        return (await world.run("pod", "curl", "-sf", "http://127.0.0.1:8080/hostname", name="side")).out == "pod\n"

    await until(answered, "the neighbour's answer on localhost")
    listed = await world.run("pod", "sh", "-c", "ls /tmp; cat /proc/[0-9]*/cmdline", name="web")
    assert "mine" not in listed.out
    assert "sleep" not in listed.out


async def test_containers_see_each_other_when_the_pod_shares_its_process_namespace(world: World) -> None:
    await world.pod("pod", share_process_namespace=True)
    await world.start("pod", "sleep", "61", name="one")
    await world.start("pod", "sleep", "62", name="two")
    assert "61" in (await world.run("pod", "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '", name="two")).out
    await world.client.signal_container("pod", "one", signal.SIGTERM)
    assert (await world.ended("pod", "one")).exit_code == 143


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
async def test_a_container_of_a_shared_process_namespace_leaves_no_process_behind(world: World, signum: int) -> None:
    await world.pod("pod", share_process_namespace=True)
    await world.start("pod", "sleep", "61", name="one")
    await world.start("pod", "sh", "-c", "setsid sleep 62 & sleep 63 & exec sleep 64", name="two")
    await world.client.signal_container("pod", "two", signum)
    await world.ended("pod", "two")

    async def alone() -> bool:
        found = (await world.run("pod", "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '", name="one")).out
        return not {"62", "63", "64"} & set(found.split())

    await until(alone, "the end of all that the container had started")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("no-such-program",), 'exec: "no-such-program": executable file not found in $PATH'),
        (("/etc/hostname",), 'exec: "/etc/hostname": permission denied'),
    ],
)
async def test_a_container_that_cannot_start_says_why_and_is_on_record(
    world: World, argv: tuple[str, ...], message: str
) -> None:
    await world.pod("pod")
    with pytest.raises(SandboxError, match=re.escape(message)) as refused:
        await world.start("pod", *argv)
    assert refused.value.reason == "StartError"
    status = await world.status("pod")
    assert (status.state, status.exit_code, status.message) == ("exited", 128, message)
    await world.start("pod", "true", attempt=1)


async def test_exit_code_signal_and_termination_message_are_recorded(world: World) -> None:
    await world.pod("pod")
    await world.start("pod", "sh", "-c", "printf 'disk is on fire' > /dev/termination-log; exit 7")
    status = await world.ended("pod")
    assert (status.exit_code, status.signal, status.message) == (7, 0, "disk is on fire")
    assert 0 < status.started_at <= status.finished_at
    record = json.loads((world.directory / "pod" / "main-0.json").read_text())
    assert record["exit_code"] == 7
    await world.start("pod", "sh", "-c", "kill -SEGV $$", attempt=1)
    status = await world.ended("pod")
    assert (status.exit_code, status.signal) == (139, 11)


async def test_a_program_without_handlers_ends_at_once_on_sigterm(world: World) -> None:
    await world.pod("pod")
    await world.start("pod", "sleep", "60")
    await world.client.signal_container("pod", "main", signal.SIGTERM)
    assert (await world.ended("pod")).signal == signal.SIGTERM


async def test_killing_a_container_ends_its_orphans_too(world: World) -> None:
    await world.pod("pod")
    await world.start("pod", "sh", "-c", "setsid sleep 61 & setsid setsid sleep 62 & sleep 60")
    [usage] = await world.client.stats("pod")
    assert usage.memory_bytes > 0
    await world.client.signal_container("pod", "main", signal.SIGKILL)
    assert (await world.ended("pod")).exit_code == 137


async def test_output_becomes_a_log_in_the_cri_format(world: World) -> None:
    await world.pod("pod")
    await world.start("pod", "sh", "-c", "echo out; echo err >&2; printf tail")
    await world.ended("pod")
    lines = sorted(world.log("pod").read_text().splitlines(), key=lambda line: line.split(" ", 1)[1])
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"
    assert [bool(re.fullmatch(f"{stamp} {rest}", line)) for line, rest in zip(
        lines, ["stderr F err", "stdout F out", "stdout P tail"], strict=True)] == [True] * 3  # fmt: skip


async def test_exec_keeps_streams_apart_and_passes_input_environment_directory_and_exit_code(world: World) -> None:
    await world.pod("pod")
    await world.start("pod", "sleep", "60", env={"FROM": "container"})
    script = "cat; echo $FROM $MORE $(pwd) >&2; exit 5"
    ran = await world.run("pod", "sh", "-c", script, stdin=b"typed\n", env={"MORE": "exec"}, cwd="/tmp")
    assert (ran.code, ran.out, ran.err) == (5, "typed\n", "container exec /tmp\n")


async def test_exec_of_something_that_is_not_there_gives_127_and_the_reason(world: World) -> None:
    await world.pod("pod")
    await world.start("pod", "sleep", "60")
    ran = await world.run("pod", "no-such-program")
    assert (ran.code, ran.err) == (127, 'exec: "no-such-program": no such file or directory')


async def test_exec_into_a_container_that_has_ended_is_refused(world: World) -> None:
    await world.pod("pod")
    await world.start("pod", "true")
    await world.ended("pod")
    with pytest.raises(SandboxError, match="not running"):
        await world.run("pod", "true")


async def test_a_terminal_has_a_name_a_size_and_can_be_resized(world: World) -> None:
    await world.pod("pod")
    await world.start("pod", "sleep", "60")
    command = ExecSpec(("sh", "-c", "tty; stty size; read line; stty size"), tty=True, columns=100, rows=30)
    session = await world.client.exec("pod", "main", command)
    seen, answered = b"", False
    async for _, data in session.output():
        seen += data
        if b"30 100" in seen and not answered:
            answered = True
            session.resize(120, 40)
            await session.write(b"go\n")
    assert await session.wait() == 0
    session.close()
    assert seen.split() == [b"/dev/pts/0", b"30", b"100", b"go", b"40", b"120"]


async def test_attach_follows_the_program_and_feeds_it(world: World) -> None:
    await world.pod("pod")
    await world.start("pod", "sh", "-c", 'while read line; do echo "got $line"; done; exit 3', stdin=True)
    session = await world.client.attach("pod", "main", stdin=True)
    await session.write(b"one\n")
    seen = b""
    async for _, data in session.output():
        seen += data
        if seen == b"got one\n":
            session.close_stdin()
            await world.client.close_container_stdin("pod", "main")
    session.close()
    assert seen == b"got one\n"
    assert (await world.ended("pod")).exit_code == 3


async def test_a_container_over_its_memory_limit_is_killed_and_says_so(world: World) -> None:
    await world.pod("pod")
    await world.start("pod", "python3", "-c", _HOG, limits=Limits(memory_bytes=64 << 20))
    status = await world.ended("pod")
    assert (status.oom, status.exit_code) == (True, 137)


async def test_stats_count_what_commands_and_children_use(world: World) -> None:
    await world.pod("pod")
    await world.start("pod", "python3", "-c", _HOG)

    async def large() -> bool:
        [usage] = await world.client.stats("pod")
        return usage.memory_bytes > 96 << 20 and usage.cpu_ns > 0

    await until(large, "the program's memory in the statistics")


async def test_an_address_is_free_as_soon_as_its_pod_is_removed(world: World) -> None:
    first = await world.pod("first")
    await world.start("first", *SERVER)
    with pytest.raises(SandboxError, match="is the address of pod first"):
        await world.client.create_pod(_again(first, "second"))
    await world.client.remove_pod("first")
    await world.client.create_pod(_again(first, "second"))
    assert [pod.uid for pod in await world.client.list_pods()] == ["second"]


def _again(pod: object, uid: str) -> object:
    import dataclasses

    return dataclasses.replace(pod, uid=uid)  # type: ignore[type-var]


async def test_another_client_finds_pods_running_and_ended_as_they_are(world: World) -> None:
    await world.pod("pod")
    await world.start("pod", "sleep", "60", name="runs")
    await world.start("pod", "false", name="ended")
    await world.ended("pod", "ended")
    [found] = await HolderClient(world.client.run_dir).list_pods()
    assert {status.name: (status.state, status.exit_code) for status in found.containers} == {
        "runs": ("running", 0),
        "ended": ("exited", 1),
    }


async def test_a_pod_whose_shim_was_killed_is_dead_and_can_be_made_anew(world: World) -> None:
    pod = await world.pod("pod")
    await world.start("pod", *SERVER)
    await world.get(pod.address)
    [shim] = await _pids_named(world, "dabba-shim")
    await world.client.spawn(_killer(world, shim))

    async def dead() -> bool:
        return [found.alive for found in await world.client.list_pods()] == [False]

    await until(dead, "the pod to be reported dead")
    with pytest.raises(HolderGone):
        await world.client.pod_status("pod")
    await world.client.remove_pod("pod")
    await world.client.create_pod(pod)
    await world.start("pod", *SERVER)
    await world.get(pod.address)


async def _pids_named(world: World, name: str) -> list[int]:
    """As the holder's pid namespace numbers them."""
    from dabbawala.cluster.sandbox.spec import ProcessSpec

    log = world.directory / "find.log"
    script = f"for p in /proc/[0-9]*; do read n < $p/comm; [ $n = {name} ] && echo ${{p#/proc/}}; done"
    await world.client.spawn(ProcessSpec("find", ("sh", "-c", script), str(log), env={"PATH": "/usr/bin:/bin"}))
    await world.client.wait("find", timeout=10)
    return [int(line) for line in log.read_text().split()]


def _killer(world: World, pid: int) -> object:
    from dabbawala.cluster.sandbox.spec import ProcessSpec

    return ProcessSpec("killer", ("/bin/sh", "-c", f"kill -9 {pid}"), str(world.directory / "killer.log"))
