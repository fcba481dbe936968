"""Running the detector: on a machine with the embedded cluster, or on each node of any other."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from dabbawala.apimachinery.clock import Clock
from dabbawala.guard.runtime import metrics, pods, reported, rules, sinks
from dabbawala.guard.runtime.alerts import Alert
from dabbawala.guard.runtime.detector import Detector
from dabbawala.guard.runtime.door import CannotListen as CannotListen
from dabbawala.guard.runtime.door import opened as door
from dabbawala.guard.runtime.pods import Pods
from dabbawala.guard.runtime.rules import BadRules as BadRules
from dabbawala.guard.runtime.rules import Rule
from dabbawala.guard.runtime.sinks import Sink
from dabbawala.guard.runtime.sources.audit import AuditLog
from dabbawala.reconcile.recorder import EventRecorder

SHIPPED = Path(__file__).with_name("shipped.yaml")
API_SECONDS_MAX = 15.0
"""For the first list of pods; without it, nothing could be told of whose a container is."""

LINE_BYTES_MAX = reported.EVENT_BYTES_MAX


class CouldNotWatch(Exception):
    """The question cannot be answered here; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one run does. `files` are rule files read after the shipped one; `seconds` ends it, else a signal does;
    `reported` is a file of Falco's events, or - for standard input, handled instead of watching this machine."""

    files: Sequence[Path] = ()
    shipped: bool = True
    node: str = ""
    json_file: Path | None = None
    webhook: str = ""
    program: str = ""
    events: bool = True
    listen: str = ""
    reported: str = ""
    audit_log: Path | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run saw. `losses` by source; `gone` programs that ended before they could be read; `events` in containers,
    by type."""

    alerts: int
    losses: Mapping[str, int]
    gone: int = 0
    events: Mapping[str, int] = field(default_factory=dict)


class Watch(Protocol):
    """What a run tells whoever started it: that everything is watched, and how it ended, by itself or by a signal."""

    def begun(self, detector: Detector) -> None: ...

    def over(self, outcome: Outcome) -> None: ...


def load(settings: Settings) -> tuple[Rule, ...]:
    """The rules of a run. Raises BadRules."""
    items = []
    for path in (*((SHIPPED,) if settings.shipped else ()), *settings.files):
        try:
            items += rules.read(path.read_bytes(), str(path))
        except OSError as error:
            raise BadRules(f"{path}: {error.strerror or error}") from error
    return rules.build(items)


async def run(settings: Settings, client: Any, clock: Clock, *, shown: Sink, watch: Watch) -> Outcome:
    """Watch until the time is over or it is cancelled; `client` is None to do without an API. `shown` is the terminal,
    `watch` hears when everything is watched, and what came of it, however it ends.
    Raises BadRules, CannotListen, CouldNotWatch."""
    return await _Run(settings, client, clock, shown=shown).run(watch)


class _Run:
    """One run and what it opens."""

    def __init__(self, settings: Settings, client: Any, clock: Clock, *, shown: Sink) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock
        self._sinks: list[Sink] = [shown]
        self._taken_in = 0
        self._alerts = 0
        self._detector: Detector | None = None

    async def run(self, watch: Watch) -> Outcome:
        found = load(self._settings)
        async with AsyncExitStack() as cleanup:
            self._open_sinks(cleanup)
            for sink in self._sinks:
                await _background(cleanup, sink.run())
            if self._settings.reported:
                await self._take_all(self._settings.reported)
                return Outcome(self._alerts, {})
            detector = self._detector = await self._watching(cleanup, found)
            if self._settings.listen:
                await cleanup.enter_async_context(door(self._settings.listen, self._numbers, self._take))
            watch.begun(detector)
            try:
                await self._until_over()
            finally:
                outcome = Outcome(self._alerts, detector.losses(), detector.gone, detector.docket.events)
                watch.over(outcome)
            return outcome

    def _open_sinks(self, cleanup: AsyncExitStack) -> None:
        settings = self._settings
        if settings.json_file is not None:
            file = cleanup.enter_context(sinks.opened(settings.json_file))
            self._sinks.append(sinks.Lines("file", file))
        if settings.webhook:
            self._sinks.append(sinks.Webhook(settings.webhook, self._clock))
        if settings.program:
            self._sinks.append(sinks.Program(settings.program, self._clock))
        if settings.events and self._client is not None:
            recorder = EventRecorder(
                self._client, self._clock, component=sinks.COMPONENT, instance=settings.node or sinks.COMPONENT
            )
            self._sinks.append(sinks.Events(recorder))

    async def _watching(self, cleanup: AsyncExitStack, found: tuple[Rule, ...]) -> Detector:
        known = None
        if self._client is not None:
            known = Pods(self._client, self._clock, node=self._settings.node)
            await _background(cleanup, known.run())
            if not await pods.ready(known, API_SECONDS_MAX):
                raise CouldNotWatch(
                    f"the API did not list its pods within {API_SECONDS_MAX:g} s; check --kubeconfig, or use --no-api"
                )
        detector = Detector(found, self._clock, self._take, pods=known, node=self._settings.node)
        await cleanup.enter_async_context(detector)
        log = self._settings.audit_log
        if log is not None and not os.access(log, os.R_OK):
            raise CouldNotWatch(f"--audit-log {log} cannot be read; the API server's --audit-log-path belongs there")
        if log is not None:
            await _background(cleanup, AuditLog(log, detector.docket.take).run())
        return detector

    async def _until_over(self) -> None:
        if self._settings.seconds is None:
            await asyncio.Event().wait()
        else:
            await self._clock.sleep(self._settings.seconds)

    def _take(self, alert: Alert) -> None:
        self._alerts += 1
        for sink in self._sinks:
            sink.offer(alert)

    def _numbers(self) -> str:
        return metrics.render(self._detector, self._sinks, self._taken_in)

    async def _take_all(self, name: str) -> None:
        """Falco's events, one a line. A line that is none is said, and does not end it."""
        number = 0
        async for line in _lines(name):
            number += 1
            if not line.strip():
                continue
            try:
                alert = reported.read(line)
            except reported.BadEvent as wrong:
                raise CouldNotWatch(f"{name}:{number}: {wrong}") from wrong
            self._taken_in += 1
            self._take(alert)


async def _background(cleanup: AsyncExitStack, work: Any) -> None:
    """Run beside everything else, and be over when it is."""
    task = asyncio.ensure_future(work)

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    cleanup.push_async_callback(end)


async def _lines(name: str) -> AsyncIterator[bytes]:
    try:
        file: IO[bytes] = sys.stdin.buffer if name == "-" else await asyncio.to_thread(open, name, "rb")
    except OSError as error:
        raise CouldNotWatch(f"{name}: {error.strerror or error}") from error
    with file:
        while line := await asyncio.to_thread(file.readline, LINE_BYTES_MAX + 1):
            yield line
