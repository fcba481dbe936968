"""Starting, adopting and ending a sandbox: nothing outlives it, and nothing of it stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dabbawala.cluster.sandbox import launch, probe
from dabbawala.cluster.sandbox.client import HolderClient, HolderGone, SandboxError
from dabbawala.cluster.sandbox.spec import Limits, ProcessSpec
from tests.cluster.sandbox.driven import driven
from tests.cluster.sandbox.sandboxes import SERVER, World, until


@pytest.fixture
async def busy(world: World) -> World:
    """A sandbox with all that it can have: a pod, a detached child in it, a named process, a network daemon."""
    await world.pod("pod")
    await world.start("pod", "sh", "-c", "setsid sleep 600 & exec sleep 601", limits=Limits(pids=50))
    await world.client.spawn(_sleeper(world))
    await world.client.spawn_netd("node-1", "10.42.1.1", f"{world.directory}/table.json", f"{world.directory}/netd.log")
    return world


def _sleeper(world: World) -> ProcessSpec:
    return ProcessSpec("sleeper", ("/bin/sh", "-c", "sleep 602 & sleep 603"), f"{world.directory}/log", node="node-1")


def _members(user_namespace: str) -> set[int]:
    """Live processes of a user namespace or of one below it (their init namespaces name it as their parent's)."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _alive(entry) and user_namespace in _lineage(int(entry.name)):
            found.add(int(entry.name))
    return found


def _alive(entry: Path) -> bool:
    try:
        return (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def _lineage(pid: int) -> Iterator[str]:
    """The user namespaces of a process and of its ancestors, as far as this user may see them (not a pod's init)."""
    while pid:
        with contextlib.suppress(OSError):
            yield os.readlink(f"/proc/{pid}/ns/user")
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            return


def _namespace(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/user")


def _mounts() -> list[str]:
    return Path("/proc/self/mountinfo").read_text().splitlines()


@pytest.mark.parametrize("how", ["stop", "kill -9 of the holder", "kill -9 of holder and janitor"])
async def test_nothing_is_left_behind_however_it_ends(busy: World, how: str) -> None:
    before = _mounts()
    holder, janitor = launch.recorded(busy.client.run_dir)
    namespace = _namespace(holder)
    members = _members(namespace)
    assert len(members) >= 8
    groups = [Path(path) for path in json.loads((Path(busy.client.run_dir) / "cgroups.json").read_text())]
    if how != "stop":
        for pid in (janitor, holder) if "janitor" in how else (holder,):
            os.kill(pid, signal.SIGKILL)
    if how != "kill -9 of the holder":
        await busy.client.stop()

    async def gone() -> bool:
        return not any(_alive(Path(f"/proc/{pid}")) for pid in members | {janitor})

    await until(gone, "the end of every process")
    assert not _members(namespace)
    assert sorted(os.listdir(busy.client.run_dir)) == ["holder.lock", "holder.log"]
    assert not any(path.exists() for path in groups)
    assert _mounts() == before
    with pytest.raises(HolderGone):
        await busy.client.info()


async def test_starting_again_adopts_what_runs(world: World) -> None:
    await world.pod("pod")
    before = launch.recorded(world.client.run_dir)
    again = HolderClient(world.client.run_dir)
    await again.start()
    assert launch.recorded(world.client.run_dir) == before
    assert [pod.uid for pod in await again.list_pods()] == ["pod"]


async def test_a_sandbox_can_be_started_after_its_holder_was_killed(world: World) -> None:
    os.kill(launch.recorded(world.client.run_dir)[0], signal.SIGKILL)
    await world.client.stop()
    await world.client.start()
    assert await world.client.create_node("node-1", 1) == "10.42.1.1"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"pid": 1}', None])
async def test_a_sandbox_whose_record_is_damaged_is_found_by_its_door_and_can_be_ended(
    busy: World, damage: str | None
) -> None:
    before = launch.recorded(busy.client.run_dir)
    record = Path(busy.client.run_dir) / "holder.json"
    if damage is None:
        record.unlink()
    else:
        record.write_text(damage)
    assert launch.recorded(busy.client.run_dir) == before
    await HolderClient(busy.client.run_dir).start()
    assert [pod.uid for pod in await busy.client.list_pods()] == ["pod"]
    members = _members(_namespace(before[0]))
    await busy.client.stop()
    assert not any(_alive(Path(f"/proc/{pid}")) for pid in members | set(before))
    assert sorted(os.listdir(busy.client.run_dir)) == ["holder.lock", "holder.log"]


async def test_a_record_of_a_pid_that_is_another_process_by_now_ends_nobody(world: World) -> None:
    await world.client.stop()
    bystander = await asyncio.create_subprocess_exec("sleep", "600")
    try:
        record = {"pid": bystander.pid, "start_time": 1, "janitor": bystander.pid, "janitor_start_time": 1}
        (Path(world.client.run_dir) / "holder.json").write_text(json.dumps(record))
        (Path(world.client.run_dir) / "holder.sock").touch()
        assert not world.client.running()
        await world.client.start()
        assert bystander.returncode is None
        assert await world.client.create_node("node-1", 1) == "10.42.1.1"
    finally:
        bystander.kill()
        await bystander.wait()


async def test_two_sandboxes_live_side_by_side_with_the_same_addresses(world: World) -> None:
    with tempfile.TemporaryDirectory(prefix="dabba-") as directory:
        other = World(HolderClient(f"{directory}/run"), Path(directory))
        await other.client.start()
        try:
            await other.client.create_node("node-1", 1)
            for each, path in ((world, "/hostname"), (other, "/hosts")):
                pod = await each.pod("pod")
                await each.start("pod", *SERVER, cwd="/etc")
                assert b"200 OK" in await each.get(pod.address, path=path)
        finally:
            await other.client.stop()


async def test_a_path_too_long_for_sockets_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="XDG_RUNTIME_DIR"):
        await HolderClient(tmp_path / ("long" * 25)).start()


async def test_asking_where_nothing_runs_says_so(tmp_path: Path) -> None:
    with pytest.raises(HolderGone, match=r"holder\.sock"):
        await HolderClient(tmp_path).info()


async def test_only_the_owner_may_ask(possible: None) -> None:
    with driven(ordinary=True) as theirs:
        with pytest.raises((HolderGone, SandboxError)):
            await asyncio.wait_for(HolderClient(theirs.directory / "run").info(), 5)
        assert theirs.ask(op="info")["one_id"]


async def test_named_processes_report_their_end_and_can_be_started_again(world: World) -> None:
    log = world.directory / "hello.log"
    hello = ProcessSpec("hello", ("/bin/sh", "-c", "echo $GREETING; exit 4"), str(log), env={"GREETING": "namaste"})
    await world.client.spawn(hello)
    ended = await world.client.wait("hello", timeout=10)
    assert (ended.running, ended.exit_code, log.read_text()) == (False, 4, "namaste\n")
    await world.client.spawn(hello)
    await world.client.wait("hello", timeout=10)
    assert log.read_text() == "namaste\nnamaste\n"


async def test_ends_that_cannot_be_put_on_record_end_nobody_else(world: World) -> None:
    """As on a full disk: holder and shim live on, and tell whoever asks."""
    await world.pod("pod")
    await world.start("pod", "sh", "-c", "sleep 0.2; exit 5")
    (world.directory / "pod" / "main-0.json.new").mkdir()
    (Path(world.client.run_dir) / "processes" / "hello.json.new").mkdir()
    await world.client.spawn(ProcessSpec("hello", ("/bin/sh", "-c", "exit 4"), f"{world.directory}/log"))
    assert (await world.client.wait("hello", timeout=10)).exit_code == 4
    assert (await world.ended("pod")).exit_code == 5
    assert [pod.alive for pod in await world.client.list_pods()] == [True]
    (Path(world.client.run_dir) / "processes" / "hello.json.new").rmdir()


async def test_nonsense_at_the_door_ends_nobody(world: World) -> None:
    for said in (b"\xff\n", b"[" * 100_000 + b"\n", b"7\n", b"{}\n", b'{"op": ["x"]}\n', b""):
        reader, writer = await asyncio.open_unix_connection(f"{world.client.run_dir}/holder.sock")
        writer.write(said)
        if said:
            assert b"error" in await asyncio.wait_for(reader.readline(), 10)
        writer.close()
    assert "node-1" in (await world.client.info())["nodes"]


async def test_a_named_process_lives_in_its_nodes_network_and_obeys_signals(world: World) -> None:
    await world.client.spawn(ProcessSpec("web", ("/usr/bin/env", *SERVER), f"{world.directory}/log", node="node-1"))
    assert b"200 OK" in await world.get("10.42.1.1")
    with pytest.raises(SandboxError, match="runs as pid"):
        await world.client.spawn(ProcessSpec("web", ("true",), f"{world.directory}/log"))
    assert await world.client.signal("web", signal.SIGTERM)
    assert (await world.client.wait("web", timeout=10)).signal == signal.SIGTERM
    assert not await world.client.signal("web", signal.SIGTERM)


async def test_waiting_for_a_process_and_giving_up_holds_nothing_open(world: World) -> None:
    await world.client.spawn(_sleeper(world))
    holder, _ = launch.recorded(world.client.run_dir)
    descriptors = Path(f"/proc/{holder}/fd")
    before = len(list(descriptors.iterdir()))
    for _ in range(20):
        with pytest.raises(TimeoutError):
            await world.client.wait("sleeper", timeout=0.001)

    async def released() -> bool:
        return len(list(descriptors.iterdir())) <= before + 1

    await until(released, "the connections to be closed")


async def test_a_named_process_that_cannot_start_says_why(world: World) -> None:
    with pytest.raises(SandboxError, match="No such file"):
        await world.client.spawn(ProcessSpec("gone", ("/no/such/program",), f"{world.directory}/log"))


async def test_listeners_and_connections_are_made_in_a_nodes_network(world: World) -> None:
    with await world.client.listen("node-1", "10.96.7.7", 80) as listener:
        events = asyncio.get_running_loop()
        accepting = asyncio.ensure_future(events.sock_accept(listener))
        with await world.client.node_dial("node-1", "10.96.7.7", 80) as caller:
            accepted, peer = await accepting
            await events.sock_sendall(caller, b"x")
            assert await events.sock_recv(accepted, 1) == b"x"
            assert peer[0].startswith("10.")
            accepted.close()


def test_the_probe_names_the_setting_that_forbids_user_namespaces(possible: None) -> None:
    """In a user namespace the limit for the ones below can be set by anyone, so every user can try this."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        from dabbawala.cluster.sandbox import kernel

        kernel.unshare(kernel.CLONE_NEWUSER)
        fd = os.open("/proc/sys/user/max_user_namespaces", os.O_WRONLY)
        os.write(fd, b"0")
        os.write(writer, probe.run().explain().encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    said = os.read(reader, 4096).decode()
    os.close(reader)
    assert "user namespace: no space left on device" in said
    assert "sysctl -w user.max_user_namespaces" in said
