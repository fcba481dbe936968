"""Running a set of controllers in one process, over shared informers.

Informers start when the process may act: with leader election that is after the election, so that nobody acts on
caches filled before the last leader's last write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

from dabbawala.apimachinery.clock import Clock
from dabbawala.reconcile.apply import Executor, Writer
from dabbawala.reconcile.controller import Controller, ControllerLoop
from dabbawala.reconcile.informer import Informers, Reader
from dabbawala.reconcile.recorder import EventRecorder

WORKERS = 4
"""Keys of one controller that are worked on at once."""


class Client(Reader, Writer, Protocol):
    """What running controllers need of the API; `client.Client` has it."""


class Runtime:
    """Controllers, their loops and their caches. `run` works until cancelled; `ready` is set when caches are full."""

    def __init__(
        self, client: Client, clock: Clock, controllers: Iterable[Controller], *, workers: int = WORKERS
    ) -> None:
        self.informers = Informers(client, clock)
        self.loops: dict[str, ControllerLoop] = {}
        self.ready = asyncio.Event()
        self._recorders: list[EventRecorder] = []
        for controller in controllers:
            recorder = EventRecorder(client, clock, component=controller.name)
            executor = Executor(client, recorder, field_manager=controller.name)
            loop = ControllerLoop(controller, self.informers, executor, clock, workers=workers)
            for kind in {kind.resource: kind for kind in loop.kinds}.values():
                self.informers.watch(kind, loop)
            self._recorders.append(recorder)
            self.loops[controller.name] = loop

    async def run(self) -> None:
        self.informers.start()
        try:
            async with asyncio.TaskGroup() as group:
                for recorder in self._recorders:
                    group.create_task(recorder.run())
                await self.informers.filled()
                for loop in self.loops.values():
                    group.create_task(loop.run(), name=f"controller {loop.controller.name}")
                self.ready.set()
        finally:
            self.ready.clear()
            await self.informers.stop()

    def failures(self) -> dict[str, dict[str, str]]:
        """What is failing now: controller -> object -> why."""
        return {
            name: {str(key): message for key, message in loop.failures.items()}
            for name, loop in self.loops.items()
            if loop.failures
        }
