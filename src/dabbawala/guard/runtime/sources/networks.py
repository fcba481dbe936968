"""The networks of the pods that run here: entered once each, looked at in turn, closed with their last container."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from dabbawala.guard.runtime import processes
from dabbawala.guard.runtime.containers import Living
from dabbawala.guard.runtime.pacing import Paced
from dabbawala.guard.runtime.sources import entrance, sockets
from dabbawala.guard.runtime.sources.sockets import Found, Network

log = logging.getLogger("dabbawala.guard.runtime")

EVERY_SECONDS = 5.0
"""Between two looks at a pod's sockets."""

HEAR_SECONDS = 0.2
"""Where connections end faster than this after one another, they are taken in batches."""

SOON_SECONDS = (0.05, 0.4, 1.5)
"""Looks after a program has started in the pod."""

ENTER_SECONDS_MAX = 20.0
BATCH_MAX = 64
_GATHER_SECONDS = 0.02

Heard = Callable[[Living, Found, int], None]
"""Told of each find: the container it belongs to (the pod's first), what, and the pid if known."""


@dataclass(slots=True)
class _Pod:
    living: list[Living]
    network: Network | None = None
    hearing: Paced | None = None
    waiting: list[asyncio.TimerHandle] = field(default_factory=list)


class Networks:
    """`failed` counts networks that could not be entered, and `why` has the last reason."""

    def __init__(self, heard: Heard) -> None:
        self.failed = 0
        self.why = ""
        self._heard = heard
        self._pods: dict[str, _Pod] = {}
        self._own = processes.link("/proc/self/ns/net")
        self._arrived = asyncio.Event()
        self._queue: list[str] = []
        self._ended_losses = 0

    @property
    def losses(self) -> int:
        return self._ended_losses + sum(pod.network.losses for pod in self._pods.values() if pod.network)

    @property
    def entered(self) -> int:
        return sum(pod.network is not None for pod in self._pods.values())

    def watch(self, living: Living) -> None:
        """A container of the node's own network has no connections of its own to tell."""
        if not living.network or living.network == self._own:
            return
        pod = self._pods.get(living.network)
        if pod is not None:
            pod.living.append(living)
            return
        self._pods[living.network] = _Pod([living])
        self._queue.append(living.network)
        self._arrived.set()

    def forget(self, living: Living) -> None:
        pod = self._pods.get(living.network)
        if pod is None or living not in pod.living:
            return
        pod.living.remove(living)
        if not pod.living:
            del self._pods[living.network]
            self._close(pod)

    def close(self) -> None:
        for pod in self._pods.values():
            self._close(pod)
        self._pods = {}

    def _close(self, pod: _Pod) -> None:
        for timer in pod.waiting:
            timer.cancel()
        if pod.network is not None:
            if pod.hearing is not None:
                pod.hearing.close()
            self._ended_losses += pod.network.losses
            pod.network.close()

    def attend(self, living: Living) -> None:
        """A program has started there: look soon, a few times."""
        pod = self._pods.get(living.network)
        if pod is None or pod.network is None or any(not timer.cancelled() for timer in pod.waiting):
            return
        loop = asyncio.get_running_loop()
        pod.waiting = [loop.call_later(seconds, self._attended, pod, seconds) for seconds in SOON_SECONDS]

    def _attended(self, pod: _Pod, seconds: float) -> None:
        if seconds == SOON_SECONDS[-1]:
            pod.waiting = []
        self._look(pod)

    async def run(self) -> None:
        """Enter what arrives, and look at all in turn, until cancelled."""
        entering = asyncio.ensure_future(self._enter_all())
        try:
            while True:
                pods = list(self._pods.values())
                for pod in pods:
                    self._look(pod)
                    await asyncio.sleep(EVERY_SECONDS / len(pods))
                if not pods:
                    await asyncio.sleep(EVERY_SECONDS)
        finally:
            entering.cancel()
            await asyncio.gather(entering, return_exceptions=True)
            self.close()

    async def _enter_all(self) -> None:
        while True:
            await self._arrived.wait()
            await asyncio.sleep(_GATHER_SECONDS)  # pods come in groups, and one helper enters them all
            batch, self._queue = self._queue[:BATCH_MAX], self._queue[BATCH_MAX:]
            if not self._queue:
                self._arrived.clear()
            wanted = [(name, self._pods[name].living[0].pid) for name in batch if name in self._pods]
            if wanted:
                made = await asyncio.to_thread(enter, [pid for _, pid in wanted])
                self._take(zip((name for name, _ in wanted), made, strict=False))

    def _take(self, made: Iterable[tuple[str, Network | str]]) -> None:
        for name, network in made:
            pod = self._pods.get(name)
            if isinstance(network, str):
                self.failed, self.why = self.failed + 1, network
            elif pod is None:
                network.close()
            else:
                pod.network = network
                pod.hearing = Paced(network.hearing.fileno(), partial(self._hear, pod), pause=HEAR_SECONDS)
                self._look(pod)

    def _hear(self, pod: _Pod) -> None:
        if pod.network is not None and pod.living:
            for found in pod.network.hear():
                self._heard(pod.living[0], found, 0)

    def _look(self, pod: _Pod) -> None:
        if pod.network is None or not pod.living:
            return
        try:
            finds = list(pod.network.look())
        except OSError as error:
            log.warning("sockets of pod %s cannot be listed: %s", pod.living[0].container.pod_uid, error)
            return
        if finds:
            members = {pid for living in pod.living for pid in living.processes()}
            pids = sockets.holders({found.inode for found in finds}, sorted(members))
            for found in finds:
                self._heard(pod.living[0], found, pids.get(found.inode, 0))


def enter(pids: list[int]) -> list[Network | str]:
    """For each process the network that it is in, or why it could not be entered. Waits."""
    import subprocess

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        ours.settimeout(ENTER_SECONDS_MAX)
        argv = [sys.executable, "-I", "-S", entrance.__file__, str(theirs.fileno()), *map(str, pids)]
        with subprocess.Popen(argv, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL) as process:
            theirs.close()
            found = [_received(ours) for _ in pids]
            process.wait()
    return found


def _received(channel: socket.socket) -> Network | str:
    try:
        said, descriptors, _, _ = socket.recv_fds(channel, 256, 2)
    except OSError as error:
        return f"the helper that enters pods' networks did not answer: {error}"
    if len(descriptors) != 2:
        for fd in descriptors:
            os.close(fd)
        return said.decode(errors="replace") or "the helper that enters pods' networks ended"
    asking, hearing = (socket.socket(fileno=fd) for fd in descriptors)
    return Network(asking, hearing)
