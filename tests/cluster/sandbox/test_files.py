"""What a container sees of files: its image, its volumes, its own places; and as whom."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dabbawala.cluster.sandbox import limits
from dabbawala.cluster.sandbox.spec import Limits, Mount, User
from tests.cluster.sandbox.driven import AS_ORDINARY, USERS, Driven, driven
from tests.cluster.sandbox.sandboxes import World, until


@pytest.fixture(scope="module", params=USERS)
def sandbox(request: pytest.FixtureRequest, possible: None) -> Iterator[Driven]:
    with driven(ordinary=request.param == AS_ORDINARY) as made:
        yield made


@pytest.fixture
def pod(sandbox: Driven, request: pytest.FixtureRequest) -> str:
    uid = f"pod-{abs(hash(request.node.name)) % 10**8}"
    sandbox.pod(uid)
    return uid


def _file(sandbox: Driven, name: str, text: str) -> str:
    """A file of the sandbox's owner, made by whoever runs the tests."""
    import os

    path = Path(sandbox.directory) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    for each in (path, *path.parents):
        if each == sandbox.directory:
            break
        os.chown(each, sandbox.uid, sandbox.uid if sandbox.uid else -1)
    return str(path)


@pytest.mark.parametrize("uid", [0, 1000, 65534])
def test_processes_are_who_the_pod_says_and_may_write_their_home_and_tmp(sandbox: Driven, pod: str, uid: int) -> None:
    sandbox.start(pod, "sleep", "600", user=User(uid, uid))
    code, said = sandbox.shell(pod, "id -u; id -g; touch /tmp/file && stat -c %u /tmp/file")
    assert (code, said.split()) == (0, [str(uid)] * 3)
    assert uid == 65534 or sandbox.shell(pod, "touch ~/file")[0] == 0


def test_volumes_appear_at_their_paths_writable_or_not(sandbox: Driven, pod: str) -> None:
    config, data = _file(sandbox, "config/app.conf", "blue\n"), _file(sandbox, "data/old", "kept\n")
    folder = str(Path(data).parent)
    mounts = (
        Mount(config, "/etc/app/app.conf", read_only=True),
        Mount(folder, "/data"),
        Mount(folder, "/usr/share/deep/new/place", read_only=True),
        Mount(config, "/data/nested.conf", read_only=True),
    )
    assert not sandbox.start(pod, "sleep", "600", mounts=mounts)
    script = "cat /etc/app/app.conf /data/old /usr/share/deep/new/place/old /data/nested.conf; ls /usr/share | wc -l"
    code, said = sandbox.shell(pod, script)
    assert (code, said.split()[:4]) == (0, ["blue", "kept", "kept", "blue"])
    assert int(said.split()[4]) > 3
    assert sandbox.shell(pod, "echo new > /data/new && cat /usr/share/deep/new/place/new") == (0, "new\n")
    assert sandbox.shell(pod, "echo x > /usr/share/deep/new/place/x")[0] != 0
    assert sandbox.shell(pod, "echo x > /etc/app/app.conf")[0] != 0
    assert (Path(folder) / "new").read_text() == "new\n"


def test_a_volumes_links_do_not_lead_a_mount_out_of_the_container(sandbox: Driven, pod: str) -> None:
    trap = Path(_file(sandbox, "trap/file", "")).parent
    outside = Path(_file(sandbox, "outside/kept", "")).parent
    (trap / "link").symlink_to(outside)
    config = _file(sandbox, "config/app.conf", "blue\n")
    sandbox.start(pod, "sleep", "600", mounts=(Mount(str(trap), "/trap"), Mount(config, "/trap/link/planted")))
    assert [entry.name for entry in outside.iterdir()] == ["kept"]


def test_the_images_files_lie_over_the_view_and_can_be_written_by_each_container_alone(
    sandbox: Driven, pod: str
) -> None:
    program = _file(sandbox, "image/usr/local/bin/hello", "#!/bin/sh\nread line < /app/greeting; echo $line $1\n")
    Path(program).chmod(0o755)
    greeting = Path(_file(sandbox, "image/app/greeting", "hello\n"))
    image = str(greeting.parent.parent)
    _file(sandbox, "image/etc/app.conf", "set\n")
    for name in ("one", "two"):
        assert not sandbox.start(pod, "sleep", "600", name=name, image_root=image, cwd="/app")
    assert sandbox.shell(pod, "pwd; hello world; cat /etc/app.conf; ls /usr/bin/env", "one") == (
        0, "/app\nhello world\nset\n/usr/bin/env\n")  # fmt: skip
    assert sandbox.shell(pod, "echo changed > /app/greeting; hello", "one") == (0, "changed\n")
    assert sandbox.shell(pod, "hello", "two") == (0, "hello\n")
    assert greeting.read_text() == "hello\n"


def test_a_read_only_root_leaves_only_volumes_to_write(sandbox: Driven, pod: str) -> None:
    data = str(Path(_file(sandbox, "data/old", "")).parent)
    image = str(Path(_file(sandbox, "image/app/greeting", "hello\n")).parent.parent)
    sandbox.start(pod, "sleep", "600", read_only_root=True, mounts=(Mount(data, "/data"),), image_root=image)
    for path in ("/file", "/tmp/file", "/app/file", "/run/file", "/etc/file", "/home/file"):
        assert sandbox.shell(pod, f"touch {path}")[0] != 0
    assert sandbox.shell(pod, "touch /data/file /dev/shm/file && echo x > /dev/null && cat /app/greeting")[0] == 0


def test_an_archive_of_another_user_is_unpacked_with_the_owners_that_there_are(sandbox: Driven, pod: str) -> None:
    """What `kubectl cp` does, from the machine of somebody with an id of their own."""
    sandbox.start(pod, "sleep", "600")
    pack = "cd /tmp && echo content > file && tar -cf file.tar --owner=4321 --group=4321 file && rm file"
    owner = "0" if sandbox.ask(op="info")["one_id"] else "4321"
    script = f"{pack} && tar -xmf file.tar && stat -c %u file && cat file"
    assert sandbox.shell(pod, script) == (0, f"{owner}\ncontent\n")
    unasked = "TAR_OPTIONS= tar -xmf file.tar"
    assert (sandbox.shell(pod, f"cd /tmp && {unasked}")[0] != 0) == (owner == "0")


def test_low_ports_can_be_bound_by_anyone(sandbox: Driven, pod: str) -> None:
    sandbox.start(pod, "sleep", "600", user=User(1000, 1000))
    assert sandbox.run(pod, "python3", "-c", "import socket; socket.socket().bind(('0.0.0.0', 80))") == (0, "")


def test_names_and_resolver_are_the_pods_own(sandbox: Driven) -> None:
    made = sandbox.pod("named", resolv_conf="nameserver 10.96.0.10\nsearch here\n")
    sandbox.start("named", "sleep", "600")
    code, said = sandbox.shell("named", "hostname; cat /etc/hostname /etc/resolv.conf; getent hosts named; whoami")
    assert code == 0
    words = said.split()
    assert words == ["named", "named", "nameserver", "10.96.0.10", "search", "here", made.address, "named", "root"]


def test_supplemental_groups_are_given_or_refused_with_the_reason(sandbox: Driven, pod: str) -> None:
    refused = sandbox.start(pod, "sleep", "600", user=User(1000, 1000, (2000,)))
    if not sandbox.ask(op="info")["one_id"]:
        assert sorted(sandbox.run(pod, "id", "-G")[1].split()) == ["1000", "2000"]
        return
    assert refused["reason"] == "IdsNotMapped"
    assert "fsGroup" in refused["message"]


def test_a_program_over_its_memory_limit_is_killed_as_out_of_memory(sandbox: Driven, pod: str) -> None:
    hog = "import time\nheld = bytearray(96 << 20)\ntime.sleep(60)"
    sandbox.start(pod, "python3", "-c", hog, limits=Limits(memory_bytes=64 << 20))
    for _ in range(2000):
        [status] = sandbox.ask(op="status", uid=pod)["containers"]
        if status["state"] == "exited":
            break
    assert (status["oom"], status["exit_code"]) == (True, 137)


async def test_a_container_with_a_missing_volume_says_which(world: World) -> None:
    await world.pod("pod")
    with pytest.raises(Exception, match="/no/such/volume"):
        await world.start("pod", "true", mounts=(Mount("/no/such/volume", "/data"),))


async def test_a_cpu_limit_smaller_than_the_kernel_knows_is_the_smallest_that_it_knows(world: World) -> None:
    if not (await world.client.info())["limits"].startswith("cgroup"):
        pytest.skip("no writable control groups here; CPU limits have no effect then, as docs/sandbox.md says")
    await world.pod("pod")
    await world.start("pod", "true", limits=Limits(cpu_milli=1))
    assert (await world.ended("pod")).exit_code == 0


def test_a_limit_that_cannot_be_set_leaves_no_group_behind(tmp_path: Path) -> None:
    groups = limits.ControlGroups(2, {"": str(tmp_path)})
    with pytest.raises(FileNotFoundError):  # a directory that is no control group has no file for it
        groups.limit("pod-main-0", Limits(cpu_milli=100))
    assert not list(tmp_path.iterdir())


async def test_a_cpu_limit_slows_the_program_where_control_groups_can_be_had(world: World) -> None:
    if not (await world.client.info())["limits"].startswith("cgroup"):
        pytest.skip("no writable control groups here; CPU limits have no effect then, as docs/sandbox.md says")
    await world.pod("pod")
    await world.start("pod", "sh", "-c", "while :; do :; done", limits=Limits(cpu_milli=100))

    async def throttled() -> bool:
        [usage] = await world.client.stats("pod")
        status = await world.status("pod")
        return usage.cpu_ns > 50_000_000 and status.state == "running"

    await until(throttled, "some CPU time of the limited program")
