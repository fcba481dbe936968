"""Keeping an Envoy running: start it, wait for its end, start it again after a pause that doubles with each crash.

A process that ran for `HEALTHY_SECONDS` has earned a fresh start. One that runs already, from before the control plane
was restarted, is adopted and not touched.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from dabbawala.apimachinery.clock import Clock

log = logging.getLogger("dabbawala.dataplane")

FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 0.1, 10.0
HEALTHY_SECONDS = 10.0
LOOP_AFTER = 3
"""Ends in a row after which it is called a crash loop."""

LAST_WORDS_BYTES = 4096
LAST_WORDS_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Launch:
    """A process to run: `node` names the network it runs in, empty for the host's."""

    name: str
    argv: tuple[str, ...]
    log_path: str
    node: str = ""


class Spawner(Protocol):
    """Starts processes that outlive the control plane."""

    async def start(self, launch: Launch) -> None:
        """Start it, or adopt it if it runs. OSError says why it cannot."""
        ...

    async def wait(self, name: str) -> int:
        """The exit status (128 + signal) once it has ended."""
        ...

    async def stop(self, name: str) -> None:
        """End it; harmless when it has ended."""
        ...


class Keeper:
    """Keeps one process. `crashes` counts its ends in a row; `trouble` says what is wrong, empty when it runs."""

    def __init__(self, launch: Launch, spawner: Spawner, clock: Clock, changed: Callable[[], None]) -> None:
        self.launch = launch
        self.crashes = 0
        self.trouble = "it has not been started yet"
        self._spawner = spawner
        self._clock = clock
        self._changed = changed
        self._complaint = ""
        self._started = 0.0

    @property
    def crash_loop(self) -> str:
        """What is wrong while it ends again and again, told also in the moments in which it runs; empty otherwise."""
        lasting = not self.trouble and self._clock.monotonic() - self._started >= HEALTHY_SECONDS
        return self._complaint if self.crashes >= LOOP_AFTER and not lasting else ""

    async def run(self) -> None:
        """Keep it running until cancelled; the process stays when this ends."""
        while True:
            self._started = self._clock.monotonic()
            ended = await self._once()
            if self._clock.monotonic() - self._started >= HEALTHY_SECONDS:
                self.crashes = 0
            self.crashes += 1
            pause = min(FIRST_PAUSE_SECONDS * 2 ** min(self.crashes - 1, 10), LAST_PAUSE_SECONDS)
            self.trouble = self._complaint = (
                f"Envoy {self.launch.name} {ended}, {self.crashes} times in a row; it is started again in {pause:g} s; "
                f"`dabba logs {self.launch.name}` has all that it said"
            )
            log.warning("%s", self.trouble)
            self._changed()
            await self._clock.sleep(pause)

    async def _once(self) -> str:
        try:
            await self._spawner.start(self.launch)
        except OSError as error:
            return f"could not be started: {error}"
        self.trouble = ""
        self._changed()
        told = asyncio.get_running_loop().call_later(HEALTHY_SECONDS, self._changed)
        try:
            status = await self._spawner.wait(self.launch.name)
        finally:
            told.cancel()
        said = last_words(self.launch.log_path)
        return f"ended with status {status}" + (f" ({said})" if said else "")


def last_words(log_path: str) -> str:
    """The last line of a log, shortened."""
    try:
        with open(log_path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LAST_WORDS_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip()[:LAST_WORDS_SHOWN] for line in reversed(lines) if line.strip()), "")
