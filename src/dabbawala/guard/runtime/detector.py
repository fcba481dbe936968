"""Sources, containers and rules put together: what happens in pods, held against rules as it happens.

Nothing is polled that the kernel tells: programs that start, files, ends of TCP connections and of containers are
events. Only live sockets are looked at in turn, and processes where the kernel does not tell of programs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from dabbawala.apimachinery.clock import Clock
from dabbawala.guard.runtime import conditions, events, processes
from dabbawala.guard.runtime.alerts import Alert
from dabbawala.guard.runtime.anchors import Anchors
from dabbawala.guard.runtime.containers import Containers, Living
from dabbawala.guard.runtime.docket import Docket
from dabbawala.guard.runtime.engine import Engine
from dabbawala.guard.runtime.events import Event, Process
from dabbawala.guard.runtime.pacing import Paced
from dabbawala.guard.runtime.pods import Pods
from dabbawala.guard.runtime.rules import Rule
from dabbawala.guard.runtime.sieve import Sieve
from dabbawala.guard.runtime.sources import connector, files, polling, sockets
from dabbawala.guard.runtime.sources.connector import ProcessConnector
from dabbawala.guard.runtime.sources.files import FileWatch, Seen
from dabbawala.guard.runtime.sources.networks import Networks
from dabbawala.guard.runtime.sources.polling import Polling
from dabbawala.guard.runtime.sources.sockets import Found
from dabbawala.guard.runtime.sources.source import Unavailable
from dabbawala.guard.runtime.suspects import Suspects

FILES_SECONDS = 0.1
"""Where file events follow one another faster than this, they are taken in batches."""

PEER_SECONDS = 10.0
"""Connections of one process with one peer within this time are one."""

PEERS_REMEMBERED = 4_096

DESCRIPTORS_MAX = 65_536
PRIORITY = -10
"""The nice value that root's detector gives itself."""


class Detector:
    """`absent` says which source is not there and why; `gone` counts programs of the node that ended before they could
    be read, `unclaimed` acts on files of which not even a guess says who did them."""

    def __init__(
        self,
        rules: Sequence[Rule],
        clock: Clock,
        deliver: Callable[[Alert], None],
        *,
        pods: Pods | None,
        node: str = "",
    ) -> None:
        self.gone = 0
        self.unclaimed = 0
        self.absent: dict[str, str] = {}
        self.engine = Engine(rules)
        self.docket = Docket(self.engine, clock, pods, deliver=deliver)
        self.containers = Containers(self._appeared)
        self.networks = Networks(self._connected)
        self.connector: ProcessConnector | None = None
        self.files: FileWatch | None = None
        self._rules = rules
        self._sieve = Sieve(rules)
        self._clock = clock
        self._node = node or os.uname().nodename
        self._processes = processes.Processes(environments=any(_uses(rule, "proc.env") for rule in rules))
        self._suspects = Suspects(self._processes, clock)
        self._polling = Polling(self.containers, self._began)
        self._anchors = Anchors(self._ended)
        self._tasks: list[asyncio.Task[None]] = []
        self._readers: list[Paced] = []
        self._peers: OrderedDict[tuple[str, str, int, int], float] = OrderedDict()

    async def __aenter__(self) -> Detector:
        """Open what sources there are, and take in what runs already."""
        _prepare()
        loop = asyncio.get_running_loop()
        try:
            self.connector = ProcessConnector()
            loop.add_reader(self.connector, self._hear)
        except Unavailable as missing:
            self.absent[connector.NAME] = missing.why
        try:
            self.files = FileWatch(sorted(paths(self._rules)), self._sieve)
            self._readers = [
                Paced(fileno, partial(self._see, fileno), pause=FILES_SECONDS) for fileno in self.files.filenos()
            ]
        except Unavailable as missing:
            self.absent[files.NAME] = missing.why
        running = [self.networks.run(), self.docket.run()]
        if self.connector is None:
            running.append(self._polling.run())
        self._tasks = [asyncio.ensure_future(one) for one in running]
        self._polling.take_in()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        loop = asyncio.get_running_loop()
        if self.connector is not None:
            loop.remove_reader(self.connector)
            self.connector.close()
        for reader in self._readers:
            reader.close()
        if self.files is not None:
            self.files.close()
        self._anchors.close()

    def losses(self) -> dict[str, int]:
        """What was missed, by source."""
        return {
            connector.NAME: self.connector.losses if self.connector is not None else 0,
            files.NAME: self.files.losses if self.files is not None else 0,
            sockets.NAME: self.networks.losses,
        }

    def _hear(self) -> None:
        assert self.connector is not None, "a reader is added for an open connector only"
        for what, pid in self.connector.read():
            if what == connector.EXEC:
                self._began(pid, connector.NAME)
            elif self.engine.wants(events.PTRACE) and (living := self.containers.of(pid)) is not None:
                self.docket.take(self._event(events.PTRACE, living, self._processes.get(pid), source=connector.NAME))

    def _began(self, pid: int, source: str) -> None:
        living = self.containers.of(pid)
        if living is None:
            self.gone += processes.stat(pid) is None
            return
        process = self._processes.begun(pid, living.is_changed)
        if process is None:
            self.gone += 1
            return
        if source != polling.NAME:
            self._suspects.started(living, process)
        self.networks.attend(living)
        self.docket.take(self._event(events.EXECVE, living, process, source=source))

    def _see(self, fileno: int) -> None:
        assert self.files is not None, "a reader is added for an open watch only"
        for seen in self.files.read(fileno, self._clock.now().timestamp()):
            if seen.type == events.EXECVE:
                self._executed(seen)
            else:
                self._touched(seen)

    def _executed(self, seen: Seen) -> None:
        """The process connector tells of it too, unless it ends at once; of a script only this does."""
        living = seen.living or self.containers.of(seen.pid)
        if living is None or not living.mounts.is_changed(seen.file.path, seen.changed_at, living.started):
            return
        before = self._processes.get(seen.pid)
        name = os.path.basename(seen.file.path)[:15]
        process = Process(seen.pid, name=name, exepath=seen.file.path, argv=(seen.file.path,), changed=True)
        if before is not None:
            process.ppid, process.uid, process.tty = before.ppid, before.uid, before.tty
            process.parent, process.entered = before.parent, before.entered
        self.docket.take(self._event(events.EXECVE, living, process, source=files.NAME))

    def _touched(self, seen: Seen) -> None:
        living = seen.living or (self.containers.of(seen.pid) if seen.pid else None)
        if living is None:
            return
        process = self._processes.get(seen.pid) if seen.pid else self._suspects.of_file(living, seen.file.path)
        if process is None and not seen.pid:
            self.unclaimed += 1
            return
        attribution = events.EXACT if seen.pid and process is not None else events.INFERRED
        event = self._event(seen.type, living, process, source=files.NAME)
        self.docket.take(replace(event, file=seen.file, attribution=attribution))

    def _connected(self, living: Living, found: Found, pid: int) -> None:
        if not self.engine.wants(found.type) or self._is_known(living, found, pid):
            return
        process = self._processes.get(pid) if pid else self._suspects.of_connection(living)
        event = self._event(found.type, living, process, source=sockets.NAME)
        attribution = events.EXACT if pid else events.INFERRED
        self.docket.take(replace(event, peer=found.peer, attribution=attribution))

    def _is_known(self, living: Living, found: Found, pid: int) -> bool:
        if found.type != events.CONNECT:
            return False
        key = (living.container.key, found.peer.remote, found.peer.remote_port, pid or self._suspects.last(living))
        now, last = self._clock.monotonic(), self._peers.get(key)
        if last is not None and now - last < PEER_SECONDS:
            return True
        self._peers[key] = now
        self._peers.move_to_end(key)
        if len(self._peers) > PEERS_REMEMBERED:
            self._peers.popitem(last=False)
        return False

    def _event(self, kind: str, living: Living, process: Process | None, *, source: str) -> Event:
        at = self._clock.now().timestamp()
        return Event(kind, at, process, living.container, source=source, node=self._node)

    def _appeared(self, living: Living) -> None:
        if self.files is not None:
            self.files.watch(living)
        self.networks.watch(living)
        self._anchors.hold(living)

    def _ended(self, living: Living) -> None:
        if not self.containers.ended(living):
            self._anchors.hold(living)
            return
        self._suspects.forget(living)
        self.networks.forget(living)
        if self.files is not None:
            self.files.forget(living)


def _prepare() -> None:
    """What is read late has ended: where we may, we go first. And each container takes some dozens of descriptors."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, min(PRIORITY, os.getpriority(os.PRIO_PROCESS, 0)))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(DESCRIPTORS_MAX, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _uses(rule: Rule, name: str) -> bool:
    return rule.active and rule.tree is not None and any(c.field.name == name for c in conditions.checks(rule.tree))


def paths(rules: Iterable[Rule]) -> set[str]:
    """The files and directories that active rules name."""
    named = ("fd.name", "fd.directory", "fs.path.name")
    return {
        str(value)
        for rule in rules
        if rule.active and rule.tree is not None
        for check in conditions.checks(rule.tree)
        if check.field.name in named
        for value in check.values
        if str(value).startswith("/") and not set(str(value)) & set("*?[")
    }
