"""One Envoy with all that belongs to it: its folder and deliveries, its process, and what is told about both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from dabbawala.apimachinery.clock import Clock
from dabbawala.cluster.dataplane import envoy
from dabbawala.cluster.dataplane.acceptance import Verdict
from dabbawala.cluster.dataplane.delivery import Delivery
from dabbawala.cluster.dataplane.keeper import Keeper, Launch, Spawner
from dabbawala.cluster.dataplane.resources import Config

EDGE = "edge"


def node_launch(node: str, folder: Path, logs: Path) -> Launch:
    """The Envoy of a node, in the node's network."""
    return Launch(f"envoy-{node}", envoy.argv(folder / envoy.BOOTSTRAP), str(logs / f"envoy-{node}.log"), node)


def edge_launch(folder: Path, logs: Path) -> Launch:
    """The Envoy of the host's network."""
    return Launch(f"envoy-{EDGE}", envoy.argv(folder / envoy.BOOTSTRAP), str(logs / f"envoy-{EDGE}.log"))


class Plane:
    """The Envoy of one node, or the edge's. The process is started after the first delivery, so that it finds its
    files; it is left running by `release` and ended by `end`."""

    def __init__(self, launch: Launch, folder: Path, spawner: Spawner, clock: Clock, look: Callable[[], None]) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        Path(launch.log_path).parent.mkdir(parents=True, exist_ok=True)
        self.delivery = Delivery(launch.node or EDGE, folder, Path(launch.log_path), clock)
        self.keeper = Keeper(launch, spawner, clock, look)
        self._folder = folder
        self._spawner = spawner
        self._keeping: asyncio.Task[None] | None = None
        self._reported = 0
        self._answered = False

    @property
    def counts(self) -> bool:
        """Whether what is programmed depends on it: not while it starts for the first time, when nobody uses it."""
        return self._answered or self.keeper.crashes > 0

    async def deliver(self, config: Config) -> Verdict:
        verdict = await self.delivery.deliver(config)
        if self._keeping is None:
            envoy.write_bootstrap(self.delivery.node, self._folder)
            self._keeping = asyncio.create_task(self.keeper.run(), name=self.keeper.launch.name)
        self._answered = self._answered or not verdict.down
        if verdict.down and self.keeper.trouble:
            return replace(verdict, down=self.keeper.trouble)
        return verdict

    def take_crash_report(self) -> str:
        """What to tell about a crash loop, once for each time that it grows; empty when there is nothing to tell."""
        if self.keeper.crashes <= self._reported:
            self._reported = min(self._reported, self.keeper.crashes)
            return ""
        self._reported = self.keeper.crashes
        return self.keeper.crash_loop

    def release(self) -> None:
        """Stop keeping it; the process goes on."""
        if self._keeping is not None:
            self._keeping.cancel()

    async def end(self) -> None:
        """End the process with it."""
        if self._keeping is not None:
            self._keeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeping
        await self._spawner.stop(self.keeper.launch.name)
