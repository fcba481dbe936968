"""A pod that tries to leave its sandbox fails. Each way out is one test; each runs as root (or whoever runs the tests)
and as an ordinary user, and inside the pod as its uid 0 and as uid 1000."""

from __future__ import annotations

import ctypes
import http.server
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dabbawala.cluster.sandbox.spec import Mount, User
from tests.cluster.sandbox.driven import AS_ORDINARY, USERS, Driven, driven

_SECRET = secrets.token_hex(16)
_CONNECT = (
    "import socket, sys\n"
    "try: socket.create_connection((sys.argv[1], int(sys.argv[2])), 1.5); print('CONNECTED')\n"
    "except OSError as e: print('refused', e)"
)
_SYSCALLS = "import ctypes, os, sys; c = ctypes.CDLL(None, use_errno=True)\n"
_UNMOUNT = _SYSCALLS + "sys.exit(c.umount2(sys.argv[1].encode(), 2) == 0)"
_REMOUNT = _SYSCALLS + "sys.exit(c.mount(b'none', sys.argv[1].encode(), None, 32 | 4096, None) == 0)"
_NEW_NAMESPACES = _SYSCALLS + (
    "uid, gid = os.getuid(), os.getgid()\n"
    "assert c.unshare(0x10000000 | 0x20000) == 0\n"
    "def put(path, text): fd = os.open(path, os.O_WRONLY); os.write(fd, text.encode()); os.close(fd)\n"
    "put('/proc/self/setgroups', 'deny')\n"
    "put('/proc/self/uid_map', f'0 {uid} 1'); put('/proc/self/gid_map', f'0 {gid} 1'); print('nested')\n"
)

_COUNT_SIGNALLED = (
    "import os\nreached = 0\nfor pid in range(2, 5000):\n"
    " try: os.kill(pid, 0); reached += 1\n"
    " except OSError: pass\nprint(reached)"
)


_LIBC = ctypes.CDLL(None)
_RACES = 25
_THREADS_MAX = Path("/proc/sys/kernel/threads-max")


@dataclass(frozen=True)
class Prison:
    """A sandbox with a victim pod, and an attacker in another whose program has a shell."""

    sandbox: Driven
    home: Path
    name: str

    def shell(self, script: str) -> tuple[int, str]:
        return self.sandbox.shell("attacker", script, self.name)

    def python(self, code: str, *argv: str) -> tuple[int, str]:
        return self.sandbox.run("attacker", "python3", "-c", code, *argv, name=self.name)


@pytest.fixture(scope="module", params=USERS)
def sandbox(request: pytest.FixtureRequest, possible: None) -> Iterator[Driven]:
    with driven(ordinary=request.param == AS_ORDINARY) as made:
        (made.directory / "key.pem").write_text(_SECRET)
        made.pod("victim")
        made.start(
            "victim",
            "sh",
            "-c",
            f"echo {_SECRET} > /tmp/secret; exec python3 -c 'import time; time.sleep(1000)' {_SECRET}",
        )
        made.pod("attacker")
        made.start("attacker", "sleep", "1000", name="uid-0")
        made.start("attacker", "sleep", "1000", name="uid-1000", user=User(1000, 1000))
        yield made


@pytest.fixture(params=["uid-0", "uid-1000"])
def prison(request: pytest.FixtureRequest, sandbox: Driven) -> Prison:
    return Prison(sandbox, Path(os.path.expanduser("~")), request.param)


@pytest.fixture
def volume(sandbox: Driven) -> Path:
    """A volume with a file of its own, as its pod may have left it; a directory beside its parent is not its own."""
    home = sandbox.directory / f"volumes-{secrets.token_hex(4)}"
    for folder, text in ((home / "outside/inner", _SECRET), (home / "own/volume/inner", "own\n")):
        folder.mkdir(parents=True)
        (folder / "secret").write_text(text)
    for path in (home, *home.rglob("*")):
        os.chown(path, sandbox.uid, -1)
    return home / "own/volume"


def test_the_files_of_other_pods_are_not_there(prison: Prison) -> None:
    _, found = prison.shell("cat /tmp/secret; ls /tmp; cat /proc/*/root/tmp/secret")
    assert _SECRET not in found


def test_the_processes_of_other_pods_and_of_the_host_are_not_there(prison: Prison) -> None:
    _, found = prison.shell("cat /proc/[0-9]*/cmdline; echo; ls -d /proc/[0-9]* | wc -l")
    assert _SECRET not in found
    assert int(found.split()[-1]) < 12
    assert str(prison.sandbox.directory) not in found


@pytest.mark.parametrize("path", ["/etc/shadow", "/etc/ssh", "/etc/sudoers", "/boot", "/var/lib/dpkg", "/var/spool"])
def test_host_files_outside_the_view_are_not_there(prison: Prison, path: str) -> None:
    assert prison.shell(f"ls {path} && cat {path}")[0] != 0


def test_the_homes_of_the_host_are_not_there(prison: Prison) -> None:
    _, found = prison.shell("ls -A /home /root 2>/dev/null")
    names = {entry.name for entry in prison.home.iterdir()} - {".pyenv"}
    assert not names & set(found.split())


@pytest.mark.parametrize(
    "path", ["/usr/bin/planted", "/etc/ssl/certs/planted", "/opt/planted", "/proc/sys/kernel/hostname"]
)
def test_what_it_sees_of_the_host_cannot_be_written(prison: Prison, path: str) -> None:
    assert prison.shell(f"echo planted > {path}")[0] != 0
    assert not os.path.exists("/usr/bin/planted")


def test_the_clusters_state_keys_and_sockets_are_not_there(prison: Prison) -> None:
    directory = prison.sandbox.directory
    assert prison.shell(f"ls {directory}")[0] != 0
    _, found = prison.shell(f"cat {directory}/key.pem; grep -rs {_SECRET} /run /tmp /home /root /srv /var /mnt")
    assert _SECRET not in found
    _, mounts = prison.shell("cat /proc/self/mountinfo | grep -v termination-log")
    assert str(directory) not in mounts


def test_the_host_network_cannot_be_seen_or_reached(prison: Prison) -> None:
    with http.server.ThreadingHTTPServer(("0.0.0.0", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = str(server.server_port)
        for address in ("127.0.0.1", "10.42.1.1", "169.254.10.42", *_host_addresses()):
            assert "CONNECTED" not in prison.python(_CONNECT, address, port)[1]
        server.shutdown()
    _, links = prison.shell("ls /sys/class/net; cat /proc/net/dev | tail -n +3 | cut -d: -f1")
    assert set(links.split()) <= {"lo", "eth0", "ifb0", "ifb1", "tunl0", "sit0", "ip6tnl0"}


def _host_addresses() -> list[str]:
    return sorted({entry[4][0] for entry in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)})


@pytest.mark.parametrize("path", ["/usr", "/proc/sys", "/etc/ssl/certs", "/dev/shm", "/"])
def test_nothing_can_be_unmounted_or_remounted_writable(prison: Prison, path: str) -> None:
    assert prison.python(_UNMOUNT, path)[0] == 0
    assert prison.python(_REMOUNT, path)[0] == 0
    assert prison.python(_NEW_NAMESPACES + _UNMOUNT, path) == (0, "nested\n")
    assert prison.python(_NEW_NAMESPACES + _REMOUNT, path) == (0, "nested\n")


def test_nothing_can_be_mounted_from_its_own_namespace(prison: Prison) -> None:
    code = _SYSCALLS + "sys.exit(c.mount(b'none', b'/mnt', b'tmpfs', 0, None) == 0)"
    assert prison.python(code)[0] == 0


def test_its_network_cannot_be_changed(prison: Prison) -> None:
    code = (
        "import fcntl, socket, struct, sys\n"
        "s = socket.socket()\n"
        "try: fcntl.ioctl(s, 0x8914, struct.pack('16sh14x', b'eth0', 0))\n"
        "except OSError: sys.exit(0)\n"
        "sys.exit(1)"
    )
    assert prison.python(code)[0] == 0


def test_its_init_cannot_be_traced_or_looked_into(prison: Prison) -> None:
    assert prison.python(_SYSCALLS + "sys.exit(c.ptrace(16, 1, 0, 0) == 0)")[0] == 0
    _, found = prison.shell("ls /proc/1/fd; cat /proc/1/environ; ls /proc/1/root/; cat /proc/1/maps | head -1")
    assert "heap" not in found
    assert "PATH" not in found
    assert found.count("ermission denied") >= 3


def test_processes_outside_cannot_be_signalled(prison: Prison) -> None:
    code, found = prison.python(_COUNT_SIGNALLED)
    assert code == 0
    assert int(found) < 12
    assert prison.shell("kill -9 1; kill -9 0 2>/dev/null; true")[0] in (0, 137)
    states = {
        status["name"]: status["state"] for status in prison.sandbox.ask(op="status", uid="attacker")["containers"]
    }
    assert states[prison.name] == "running"
    assert prison.sandbox.ask(op="status", uid="victim")["containers"][0]["state"] == "running"


def test_no_descriptor_of_the_host_is_left_open(prison: Prison) -> None:
    _, found = prison.shell("ls -l /proc/self/fd /proc/$$/fd")
    assert str(prison.sandbox.directory) not in found
    assert "net:[" not in found
    assert "mnt:[" not in found


def test_no_device_but_the_harmless_ones_can_be_made_or_opened(prison: Prison) -> None:
    assert prison.shell("mknod /tmp/disk b 254 0 && head -c 1 /tmp/disk")[0] != 0
    _, devices = prison.shell("find /dev -type b; ls /dev/mem /dev/kmsg /dev/fuse /dev/net 2>/dev/null")
    assert devices.strip() == ""


def test_it_has_no_rights_over_the_machine(prison: Prison) -> None:
    code = "import os, sys\ntry: os.setpriority(os.PRIO_PROCESS, 0, -5)\nexcept OSError: sys.exit(0)\nsys.exit(1)"
    assert prison.python(code)[0] == 0
    assert prison.shell("cat /proc/self/status")[1].count("NoNewPrivs:\t1") == 1
    assert prison.shell("echo b > /proc/sysrq-trigger")[0] != 0


@pytest.mark.parametrize(
    "name",
    [
        "kernel.threads-max", "vm.swappiness", "fs.file-max", "kernel.semaphore", "net/../kernel/threads-max",
        "net.../kernel/threads-max", "kernel.shm/../threads-max", "fs.mqueue./../../kernel/threads-max", "net", "",
    ],
)  # fmt: skip
def test_no_kernel_setting_of_the_machine_can_be_asked_for(sandbox: Driven, name: str) -> None:
    before = _THREADS_MAX.read_text()
    refused = sandbox.refusal(f"sets-{secrets.token_hex(4)}", sysctls={name: before.strip()})
    assert refused == {"reason": "SysctlForbidden", "message": f'forbidden sysctl: "{name}" not allowlisted'}
    assert _THREADS_MAX.read_text() == before


def test_kernel_settings_of_its_own_namespaces_are_its_own(sandbox: Driven) -> None:
    names = ("kernel/shmmax", "kernel/msgmax", "kernel/sem", "fs/mqueue/msg_max", "net/ipv4/ip_default_ttl")
    before = {name: Path(f"/proc/sys/{name}").read_text().split() for name in names}
    own = dict(zip(names, ("123456789", "7654", "100 20000 50 77", "9", "33"), strict=True))
    uid = "sets-its-own"
    refused = sandbox.refusal(uid, sysctls={name.replace("/", "."): value for name, value in own.items()})
    if refused and sandbox.uid:
        # Before Linux 6.10 only the machine's root may write those of the ipc namespace; that it says so is enough.
        assert "cannot be set" in refused["message"]
        return
    assert not refused
    sandbox.start(uid, "sleep", "1000")
    for name, value in own.items():
        assert sandbox.shell(uid, f"cat /proc/sys/{name}")[1].split() == value.split()
        assert Path(f"/proc/sys/{name}").read_text().split() == before[name]


@pytest.mark.parametrize("link", ["ABSOLUTE", "../../outside", "inner/../../../outside", "/proc/self/cwd", "link"])
def test_a_sub_path_does_not_lead_out_of_its_volume(sandbox: Driven, volume: Path, link: str) -> None:
    (volume / "link").symlink_to(link.replace("ABSOLUTE", str(volume.parents[1] / "outside")))
    mount = Mount(str(volume), "/shown", sub_path="link/inner")
    refused = sandbox.start("attacker", "cat", "/shown/secret", name=f"out-{volume.name}", mounts=(mount,))
    assert refused["message"].split("] ")[1].startswith(("it leads out", "Too many levels of symbolic links"))


def test_a_sub_path_may_lead_through_links_inside_its_volume(sandbox: Driven, volume: Path) -> None:
    (volume / "deep").mkdir()
    (volume / "deep/link").symlink_to("../inner")
    name = f"in-{volume.name}"
    mounts = (Mount(str(volume), "/shown", True, "deep/link"), Mount(str(volume), "/file", sub_path="deep/link/secret"))
    assert not sandbox.start("attacker", "sleep", "1000", name=name, mounts=mounts)
    assert sandbox.shell("attacker", "cat /shown/secret /file; touch /shown/x || echo no", name)[1].startswith(
        "own\nown\n"
    )
    assert sandbox.shell("attacker", "touch /shown/x", name)[0] != 0


def test_a_volume_whose_place_was_taken_by_a_link_is_not_shown(sandbox: Driven, volume: Path) -> None:
    volume.rename(volume.with_name(f"{volume.name}-away"))
    volume.symlink_to(volume.parents[1] / "outside")
    mount = Mount(str(volume), "/shown")
    refused = sandbox.start("attacker", "sleep", "1000", name=f"turned-{volume.name}", mounts=(mount,))
    assert "Too many levels of symbolic links" in refused["message"]


def test_links_that_change_while_a_container_starts_lead_nowhere(sandbox: Driven, volume: Path) -> None:
    outside = volume.parents[1] / "outside"
    before = sorted(path.name for path in outside.rglob("*"))
    (volume / "other").symlink_to(outside)
    (volume / "deep").mkdir()
    stop = threading.Event()

    def exchange() -> None:
        a, b = str(volume / "inner").encode(), str(volume / "other").encode()
        while not stop.is_set():
            _LIBC.renameat2(-100, a, -100, b, 2)

    swapping = threading.Thread(target=exchange)
    swapping.start()
    try:
        for attempt in range(_RACES):
            name = f"race-{volume.name}-{attempt}"
            mounts = (
                Mount(str(volume), "/shown", sub_path="inner"),
                Mount(str(volume), "/v"),
                Mount(str(volume), f"/v/inner/dir-{attempt}", sub_path="deep"),
                Mount(str(volume), f"/v/other/dir-{attempt}", sub_path="deep"),
            )
            places = {"cwd": f"/v/inner/cwd-{attempt}", "termination_message_path": f"/v/inner/message-{attempt}"}
            refused = sandbox.start("attacker", "sleep", "1000", name=name, mounts=mounts, **places)
            if not refused:
                assert _SECRET not in sandbox.shell("attacker", "cat /shown/secret", name)[1]
    finally:
        stop.set()
        swapping.join()
    assert sorted(path.name for path in outside.rglob("*")) == before
