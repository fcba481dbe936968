"""What the kernel tells: each source, and the detector on all of them, on things that really happen.

As whoever runs the tests: root sees files by mounts, everybody by directories.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dabbawala.apimachinery.clock import SystemClock
from dabbawala.guard.runtime import events, processes
from dabbawala.guard.runtime.alerts import Alert
from dabbawala.guard.runtime.containers import Containers, Living
from dabbawala.guard.runtime.detector import Detector
from dabbawala.guard.runtime.events import Container
from dabbawala.guard.runtime.mounts import Mount, Mounts
from dabbawala.guard.runtime.sieve import Sieve
from dabbawala.guard.runtime.sources import connector, networks, sockets
from dabbawala.guard.runtime.sources.connector import ProcessConnector
from dabbawala.guard.runtime.sources.files import FileWatch, Seen
from dabbawala.guard.runtime.sources.polling import Polling
from dabbawala.guard.runtime.sources.sockets import Network
from dabbawala.guard.runtime.sources.source import Unavailable
from tests.guard.runtime import given
from tests.guard.runtime.living import Shell, container

SECONDS_MAX = 10.0
RULES = """
- rule: Program
  desc: A program
  condition: evt.type = execve and container.id != host
  output: "%proc.cmdline"
  priority: INFO
- rule: Changed program
  desc: A program that was not there
  condition: evt.type = execve and proc.is_exe_upper_layer = true
  output: "%proc.exepath"
  priority: INFO
- rule: Memory
  desc: A program of no file
  condition: evt.type = execve and proc.is_exe_from_memfd = true
  output: "%proc.exepath"
  priority: INFO
- rule: Terminal
  desc: A shell on a terminal
  condition: evt.type = execve and proc.name = sh and proc.tty != 0
  output: "%proc.name"
  priority: INFO
- rule: Volume
  desc: A key on a volume was read
  condition: evt.type = open and evt.is_open_read = true and fd.name = /var/log/app/key
  output: "%fd.name"
  priority: INFO
- rule: Read
  desc: A key was read
  condition: evt.type = open and evt.is_open_read = true and fd.name = /root/key
  output: "%fd.name %proc.name"
  priority: INFO
- rule: Emptied
  desc: A log was emptied
  condition: evt.type = open and evt.arg.flags contains O_TRUNC and fd.name startswith /var/log/
  output: "%fd.name"
  priority: INFO
- rule: Removed
  desc: A log was removed
  condition: evt.type in (unlink, rename) and fd.name startswith /var/log/
  output: "%evt.type %fd.name"
  priority: INFO
- rule: Connected
  desc: A connection
  condition: evt.type = connect
  output: "%fd.sip:%fd.sport %proc.name"
  priority: INFO
- rule: Traced
  desc: A process was attached to
  condition: evt.type = ptrace
  output: "%proc.name"
  priority: INFO
- rule: Listening
  desc: A listener
  condition: evt.type = listen
  output: "%fd.lport %proc.name"
  priority: INFO
"""
ANY_FILE = "- rule: any\n  desc: d\n  output: o\n  priority: INFO\n  condition: evt.type in (open, unlink, rename)\n"
DROP = "cp /bin/sleep /root/dropped; /root/dropped 0.2"
TRACE = (
    '/usr/bin/python3 -c "import ctypes, os, time; pid = os.fork(); pid or time.sleep(1); '
    'ctypes.CDLL(None).ptrace(16, pid, 0, 0); time.sleep(0.2); os.kill(pid, 9)"'
)
MEMORY = (
    "/usr/bin/python3 -c \"import os; f = os.memfd_create('m'); os.write(f, open('/bin/sleep', 'rb').read()); "
    "os.execv(f'/proc/self/fd/{f}', ['x', '0.2'])\""
)
CONNECT = (
    "/usr/bin/python3 -c \"import socket; s = socket.create_server(('127.0.0.1', 4567)); "
    "socket.create_connection(('127.0.0.1', 4567)); import time; time.sleep(4)\" >/dev/null 2>&1 &"
)


@pytest.fixture
def inside() -> Iterator[Shell]:
    with container() as made:
        yield made


class Heard:
    """Alerts as they come."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self._came = asyncio.Event()

    def take(self, alert: Alert) -> None:
        self.alerts.append(alert)
        self._came.set()

    async def until(self, rule: str, output: str) -> Alert:
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                self._came.clear()
                for alert in self.alerts:
                    if alert.rule == rule and output in alert.output:
                        return alert
                await self._came.wait()


@asynccontextmanager
async def detecting(heard: Heard, uid: str) -> AsyncIterator[Detector]:
    """Alerts of that pod only: other containers may run on this machine."""

    def deliver(alert: Alert) -> None:
        if str(alert.output_fields["container.id"]).startswith(uid):
            heard.take(alert)

    async with Detector(given.built(RULES), SystemClock(), deliver, pods=None) as detector:
        yield detector


async def did(shell: Shell, command: str) -> str:
    return await asyncio.to_thread(shell, command)


@pytest.mark.parametrize(
    ("command", "rule", "output"),
    [
        ("sleep 0.2", "Program", "sleep 0.2"),
        (DROP, "Changed program", "/root/dropped"),
        (MEMORY, "Memory", "/memfd:m"),
        ("script -qc 'sh -c \"sleep 0.2; exit\"' /dev/null", "Terminal", "sh"),
        ("echo secret > /root/key; sleep 0.3; cat /root/key", "Read", "/root/key"),
        ("echo line > /var/log/a.log; sleep 0.3; : > /var/log/a.log", "Emptied", "/var/log/a.log"),
        ("echo line > /var/log/a.log; rm /var/log/a.log", "Removed", "unlink /var/log/a.log"),
        ("echo line > /var/log/b.log; mv /var/log/b.log /var/log/c.log", "Removed", "rename /var/log/b.log"),
        (
            "mkdir /var/log/app; sleep 0.2; echo line > /var/log/app/a.log; rm /var/log/app/a.log",
            "Removed",
            "unlink /var/log/app/a.log",
        ),
        (TRACE, "Traced", "python3"),
        (CONNECT, "Connected", "127.0.0.1:4567 python3"),
        (CONNECT, "Listening", "4567 python3"),
    ],
)
async def test_what_happens_in_a_container_is_seen(inside: Shell, command: str, rule: str, output: str) -> None:
    heard = Heard()
    async with detecting(heard, inside.uid) as detector:
        async with asyncio.timeout(SECONDS_MAX):
            while not detector.networks.entered:
                await asyncio.sleep(0.01)
        await did(inside, command)
        await heard.until(rule, output)
        assert not any(detector.losses().values())


async def test_a_volume_is_watched_however_many_there_are(inside: Shell) -> None:
    """The kernel tells of mounts a page at a time, and those that came last are the volumes."""
    inside("for number in $(seq 80); do mkdir -p /root/$number && mount -t tmpfs t /root/$number; done")
    inside("mkdir -p /var/log/app && mount -t tmpfs t /var/log/app && echo secret > /var/log/app/key")
    heard = Heard()
    async with detecting(heard, inside.uid) as detector:
        (living,) = [one for one in detector.containers if one.container.pod_uid == inside.uid]
        assert "/var/log/app" in [mount.point for mount in living.mounts.own]
        await did(inside, "cat /var/log/app/key")
        await heard.until("Volume", "/var/log/app/key")


async def test_what_ran_before_the_detector_is_seen_too(inside: Shell) -> None:
    inside("sleep 5 >/dev/null 2>&1 & echo started")
    heard = Heard()
    async with detecting(heard, inside.uid):
        alert = await heard.until("Program", "sleep 5")
    assert alert.output_fields["container.name"] == "web"
    assert alert.hostname == os.uname().nodename


async def test_a_container_that_ends_is_let_go_of() -> None:
    heard = Heard()
    with container() as inside:
        async with detecting(heard, inside.uid) as detector:
            ours = [one for one in detector.containers if one.container.pod_uid == inside.uid]
            assert len(ours) == 1
            inside.process.kill()
            async with asyncio.timeout(SECONDS_MAX):
                while any(one.container.pod_uid == inside.uid for one in detector.containers):
                    await asyncio.sleep(0.01)
    assert not os.path.exists(ours[0].root)


def test_programs_are_found_by_looking_where_nothing_tells_of_them(inside: Shell) -> None:
    seen: list[int] = []
    polling = Polling(Containers(lambda living: None), lambda pid, source: seen.append(pid))
    polling.take_in()
    before = len(seen)
    background = int(inside("sleep 5 >/dev/null 2>&1 & sleep 0.1; echo $!"))
    polling.take_in()
    added = [processes.stat(pid) for pid in seen[before:]]
    assert background
    assert ("sleep", inside.pid) in [(facts[0], _above(facts[1])) for facts in added if facts]
    polling.take_in()
    assert len(seen) == before + len(added)


def _above(pid: int) -> int:
    facts = processes.stat(pid)
    return facts[1] if facts else 0


def test_the_process_connector_tells_of_programs_and_nothing_else() -> None:
    try:
        told = ProcessConnector()
    except Unavailable as missing:
        pytest.skip(str(missing))
    try:
        pid = subprocess.Popen(["true"]).pid
        seen: list[tuple[int, int]] = []
        while (connector.EXEC, pid) not in seen:
            assert select.select([told], [], [], SECONDS_MAX)[0], "the kernel did not tell"
            seen += told.read()
        assert {what for what, _ in seen} <= {connector.EXEC, connector.PTRACE}
        os.waitpid(pid, 0)
    finally:
        told.close()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[FileWatch, Path]]:
    """A folder that is a volume of this process, watched as an ordinary user may."""
    (tmp_path / "old.log").write_text("line\n")
    living = Living(Container("k"), os.getpid(), os.getpid(), 0.0, "")
    living.mounts = Mounts((Mount(str(tmp_path), "/volume", "ext4", True, True),))
    try:
        watch = FileWatch((str(tmp_path),), Sieve(given.built(ANY_FILE)), mounts=False)
    except Unavailable as missing:
        pytest.skip(str(missing))
    watch.watch(living)
    yield watch, tmp_path
    watch.close()


def acts(watch: FileWatch, wanted: Callable[[list[Seen]], bool]) -> list[Seen]:
    seen: list[Seen] = []
    while not wanted(seen):
        [fileno] = watch.filenos()
        assert select.select([fileno], [], [], SECONDS_MAX)[0], f"only {seen}"
        seen += watch.read(fileno, SystemClock().now().timestamp())
    return seen


@pytest.mark.parametrize(
    ("command", "type_", "name", "how"),
    [
        ("cat old.log", events.OPEN, "old.log", (True, False, False)),
        ("echo more >> old.log", events.OPEN, "old.log", (False, True, False)),
        (": > old.log", events.OPEN, "old.log", (False, True, True)),
        ("echo x > new.log", events.OPEN, "new.log", (False, True, False)),
        ("rm old.log", events.UNLINK, "old.log", (False, False, False)),
        ("printf x > \"$(printf 'a\\377b')\"", events.OPEN, "a\ufffdb", (False, True, False)),
        ("mv old.log other.log", events.RENAME, "old.log", (False, False, False)),
    ],
)
def test_acts_on_files_are_told_apart(
    watched: tuple[FileWatch, Path], command: str, type_: str, name: str, how: tuple[bool, bool, bool]
) -> None:
    watch, folder = watched
    subprocess.run(["sh", "-c", command], cwd=folder, check=True)

    def is_there(seen: list[Seen]) -> bool:
        found = [(one.type, one.file.path, (one.file.read, one.file.written, one.file.emptied)) for one in seen]
        return (type_, str(folder / name), how) in found

    acts(watch, is_there)


def test_a_log_that_goes_on_being_written_was_not_emptied(watched: tuple[FileWatch, Path]) -> None:
    watch, folder = watched
    subprocess.run(["sh", "-c", "echo a >> old.log; cat old.log; echo end > last"], cwd=folder, check=True)
    seen = acts(watch, lambda seen: any(one.file.path.endswith("last") and one.file.written for one in seen))
    assert not [one for one in seen if one.file.emptied]


def own_network() -> Network:
    asking = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)
    hearing = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)
    hearing.bind((0, 0x1 | 0x4))
    return Network(asking, hearing)


def test_sockets_are_found_once_with_their_process() -> None:
    network = own_network()
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
                finds = [one for one in network.look() if port in (one.peer.local_port, one.peer.remote_port)]
                assert sorted((one.type, one.peer.remote_port) for one in finds) == [
                    (events.CONNECT, port),
                    (events.LISTEN, 0),
                ]
                found = sockets.holders({one.inode for one in finds}, [os.getpid()])
                assert set(found.values()) == {os.getpid()}
                assert len(found) == 2
                assert not [one for one in network.look() if port in (one.peer.local_port, one.peer.remote_port)]
    finally:
        network.close()


def test_a_connection_that_is_over_is_heard_of() -> None:
    network = own_network()
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            list(network.look())
            socket.create_connection(("127.0.0.1", port)).close()
            server.accept()[0].close()
            while True:
                assert select.select([network.hearing], [], [], SECONDS_MAX)[0], "the kernel did not tell"
                ends = [one for one in network.hear() if port in (one.peer.remote_port, one.peer.local_port)]
                if ends:
                    break
        assert [(one.type, one.peer.remote, one.peer.remote_port) for one in ends] == [
            (events.CONNECT, "127.0.0.1", port)
        ]
    finally:
        network.close()


def ended(network: Network, port: int) -> list[tuple[str, int]]:
    """What is heard until a connection from a port of this process to that one has ended: types and peers' ports."""
    found: list[tuple[str, int]] = []
    while (events.CONNECT, port) not in found:
        assert select.select([network.hearing], [], [], SECONDS_MAX)[0], "the kernel did not tell"
        found += [(one.type, one.peer.remote_port) for one in network.hear()]
    return found


def test_what_was_accepted_is_not_taken_for_a_connection_to_whoever_asked() -> None:
    """Before anybody has looked, and when the listener is gone before it ends."""
    network = own_network()
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)) as early:
                asked = [early.getsockname()[1]]
                server.accept()[0].close()
            found = ended(network, port)
            list(network.look())
            late = socket.create_connection(("127.0.0.1", port))
            asked.append(late.getsockname()[1])
            accepted = server.accept()[0]
        list(network.look())
        accepted.close()
        late.close()
        with socket.create_server(("127.0.0.1", 0)) as other:
            last = other.getsockname()[1]
            socket.create_connection(("127.0.0.1", last)).close()
            found += ended(network, last)
        assert not [peer for _, peer in found if peer in asked]
    finally:
        network.close()


def test_a_network_that_cannot_be_entered_says_why() -> None:
    [said] = networks.enter([2**22 - 1])
    assert said == "No such file or directory"
