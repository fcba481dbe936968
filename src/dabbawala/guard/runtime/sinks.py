"""Where alerts go: terminal, file, a program's standard input, a webhook, an Event on the pod.

None holds up the detector: what is slow has a queue of its own, bounded, and what does not fit is dropped and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

import orjson

from dabbawala.apimachinery.clock import Clock
from dabbawala.guard.runtime.alerts import Alert
from dabbawala.reconcile.plan import Record
from dabbawala.reconcile.recorder import EventRecorder

if TYPE_CHECKING:
    from aiohttp import ClientSession

log = logging.getLogger("dabbawala.guard.runtime")

QUEUE_MAX = 1_000
"""Alerts that wait for a slow sink."""

ATTEMPTS_MAX = 5
FIRST_DELAY, LAST_DELAY = 0.5, 30.0
"""Seconds between attempts to deliver, doubling."""

WEBHOOK_SECONDS_MAX = 10.0
PROGRAM_SECONDS_MAX = 5.0
COMPONENT = "dabbawala-guard-runtime"
REASON = "RuntimeAlert"


class Sink(Protocol):
    """`dropped` counts alerts that it could not take or deliver."""

    name: str
    dropped: int

    def offer(self, alert: Alert) -> None: ...

    async def run(self) -> None: ...


def line(alert: Alert) -> bytes:
    """One line of Falco's JSON."""
    return orjson.dumps(alert.to_json()) + b"\n"


class Lines:
    """A file, appended to, or the terminal; an alert is on it before the next event is looked at."""

    def __init__(self, name: str, target: IO[bytes], form: Callable[[Alert], bytes] = line) -> None:
        self.name = name
        self.dropped = 0
        self._target = target
        self._form = form

    def offer(self, alert: Alert) -> None:
        try:
            self._target.write(self._form(alert))
            self._target.flush()
        except OSError as error:
            self.dropped += 1
            log.warning("%s: an alert was not written: %s", self.name, error)

    async def run(self) -> None:
        """Nothing waits here."""


def opened(path: Path) -> IO[bytes]:
    """A file for audit: appended to, and nobody else's to read."""
    file = path.open("ab")
    path.chmod(0o600)
    return file


class _Queued:
    """What delivers takes one alert after the other from a bounded queue, and tries again a few times."""

    name = ""

    def __init__(self, clock: Clock) -> None:
        self.dropped = 0
        self._clock = clock
        self._failing = False
        self._queue: asyncio.Queue[Alert] = asyncio.Queue(QUEUE_MAX)

    def offer(self, alert: Alert) -> None:
        try:
            self._queue.put_nowait(alert)
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Deliver until cancelled; then once more what is still in line, without waiting for anybody."""
        alert: Alert | None = None
        try:
            while True:
                alert = await self._queue.get()
                await self._delivered(alert, ATTEMPTS_MAX)
                alert = None
        finally:
            rest = [alert] if alert is not None else []
            while not self._queue.empty():
                rest.append(self._queue.get_nowait())
            for one in rest:
                await self._delivered(one, 1)
            await self.close()
            if self.dropped:
                log.warning("%s: not delivered in all: %d", self.name, self.dropped)

    async def _delivered(self, alert: Alert, attempts: int) -> None:
        delay = FIRST_DELAY
        for left in reversed(range(attempts)):
            try:
                await self.deliver(alert)
                self._failing = False
                return
            except (OSError, TimeoutError, Undelivered) as failed:
                self._complain(alert, failed)
                if left:
                    await self._clock.sleep(delay)
                    delay = min(delay * 2, LAST_DELAY)
        self.dropped += 1

    def _complain(self, alert: Alert, failed: Exception) -> None:
        """Once, until it works again: what is lost is counted."""
        if not self._failing:
            log.warning("%s: %s was not delivered: %s", self.name, alert.rule, failed or type(failed).__name__)
        self._failing = True

    async def deliver(self, alert: Alert) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        """Let go of what is open."""


class Undelivered(Exception):
    """The other side did not take it."""


class Webhook(_Queued):
    """Posts each alert as JSON, as Falco's http_output does."""

    name = "webhook"

    def __init__(self, url: str, clock: Clock) -> None:
        super().__init__(clock)
        self._url = url
        self._session: ClientSession | None = None

    async def deliver(self, alert: Alert) -> None:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(WEBHOOK_SECONDS_MAX))
        try:
            headers = {"content-type": "application/json"}
            async with self._session.post(self._url, data=line(alert), headers=headers) as answer:
                if answer.status >= 300:
                    raise Undelivered(f"{self._url} answered {answer.status}")
        except aiohttp.ClientError as error:
            raise Undelivered(f"{self._url}: {error or type(error).__name__}") from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


class Program(_Queued):
    """Hands each alert as a line of JSON to a command that goes on running; one that ended is started again."""

    name = "program"

    def __init__(self, command: str, clock: Clock) -> None:
        super().__init__(clock)
        self._command = command
        self._process: asyncio.subprocess.Process | None = None

    async def deliver(self, alert: Alert) -> None:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_shell(self._command, stdin=asyncio.subprocess.PIPE)
        assert self._process.stdin is not None, "it was asked for"
        self._process.stdin.write(line(alert))
        async with asyncio.timeout(PROGRAM_SECONDS_MAX):
            await self._process.stdin.drain()

    async def close(self) -> None:
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        try:
            async with asyncio.timeout(PROGRAM_SECONDS_MAX):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()


class Events:
    """An Event on the pod, where `kubectl describe pod` shows it."""

    name = "events"

    def __init__(self, recorder: EventRecorder) -> None:
        self._recorder = recorder

    @property
    def dropped(self) -> int:
        return self._recorder.dropped

    @dropped.setter
    def dropped(self, count: int) -> None:
        self._recorder.dropped = count

    def offer(self, alert: Alert) -> None:
        if alert.regarding:
            self._recorder.record(Record(dict(alert.regarding), REASON, alert.sentence, "Warning"))

    async def run(self) -> None:
        try:
            await self._recorder.run()
        finally:
            await self._recorder.flush()
