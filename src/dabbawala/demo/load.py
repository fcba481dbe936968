"""An open-loop load generator that counts honestly.

Requests are sent at their intended times whatever the answers do, and a latency counts from the intended time, so a
stalled server cannot hide its stall. Nothing is ever retried: a reset, a refusal, a timeout or a missing answer is a
failed request, exactly as a status other than 2xx is. One request in `NEW_CONNECTION_EVERY` opens a connection of its
own; the rest use a pool of kept-alive ones.

It runs as a process of its own (`python -m dabbawala.demo.load`, settings as JSON on standard input), so that drawing a
screen never delays a request; samples leave on standard output, a JSON line a batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import cast

import httptools
import orjson
import uvloop

from dabbawala.demo import visitors

NEW_CONNECTION_EVERY = 10
TIMEOUT_SECONDS = 10.0
BATCH_SECONDS = 0.2
BATCH_BYTES_MAX = 64 * 2**20
POOL_MAX = 512
IN_FLIGHT_MAX = 2_000
REASON_BYTES_MAX = 160
"""How much of a refusal's body is kept: it is where a proxy says why it had no answer to bring."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`rate` in requests a second; `limit` is the bound on requests in all."""

    host: str
    port: int
    authority: str
    visitor: str
    rate: float
    limit: int


@dataclass(frozen=True, slots=True)
class Sample:
    """`intended` is Unix time in seconds, `latency` seconds from there; `status` 0 means no answer, for `error`.
    Of an answer that is not 2xx, `error` is the beginning of its body.

    `late` is how many seconds after the intended time this client got to sending.
    """

    intended: float
    latency: float
    status: int
    version: str
    error: str = ""
    late: float = 0.0

    @property
    def failed(self) -> bool:
        return not is_success(self.status)


def is_success(status: int) -> bool:
    return 200 <= status < 300


Answer = tuple[int, str, str]
"""Status, the version that answered, and for anything but a success what it said."""


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection, one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[Answer] | None = None
        self.reusable = False
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._version = ""
        self._reason = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its base class

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"malformed answer: {error}")

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-version":
            self._version = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        if not is_success(self._parser.get_status_code()):
            self._reason = (self._reason + body)[:REASON_BYTES_MAX]

    def on_message_complete(self) -> None:
        self.reusable = bool(self._parser.should_keep_alive())
        if self.answer and not self.answer.done():
            reason = self._reason.decode(errors="replace").strip()
            self.answer.set_result((int(self._parser.get_status_code()), self._version, reason))

    def connection_lost(self, error: Exception | None) -> None:
        self.reusable = False
        self._fail(str(error) if error else "connection closed before the answer")

    def _fail(self, why: str) -> None:
        if self.answer and not self.answer.done():
            self.answer.set_exception(ConnectionError(why))

    async def exchange(self, request: bytes) -> Answer:
        """Send and wait for the whole answer."""
        assert self.transport is not None
        self._begin()
        self.reusable = False
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.answer

    def close(self) -> None:
        if self.transport and not self.transport.is_closing():
            self.transport.close()


class Load:
    def __init__(self, settings: Settings, emit: Callable[[list[Sample]], None]) -> None:
        self.settings = settings
        self._emit = emit
        self._pool: deque[Connection] = deque()
        self._batch: list[Sample] = []
        self._request = visitors.VISITORS[settings.visitor]
        self._running: set[asyncio.Task[None]] = set()
        self._epoch = time.time() - time.monotonic()

    def _now(self) -> float:
        """Unix time that nobody sets while requests are under way."""
        return self._epoch + time.monotonic()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until stopped, at the limit, or when nobody takes the samples; then wait for what is in flight."""
        flusher = asyncio.create_task(self._flush_often())
        flusher.add_done_callback(lambda ended: stop.set())
        start = time.monotonic()
        for number in range(self.settings.limit):
            due = start + number / self.settings.rate
            if (pause := due - time.monotonic()) > 0:
                await asyncio.sleep(pause)
            if stop.is_set():
                break
            self._send(number, self._epoch + due)
        if self._running:
            await asyncio.wait(self._running)
        flusher.cancel()
        with contextlib.suppress(BrokenPipeError):
            self._flush()
        for connection in self._pool:
            connection.close()

    def _send(self, number: int, intended: float) -> None:
        if len(self._running) >= IN_FLIGHT_MAX:
            self._batch.append(Sample(intended, 0.0, 0, "", f"more than {IN_FLIGHT_MAX} requests in flight"))
            return
        task = asyncio.create_task(self._one(number, intended))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _one(self, number: int, intended: float) -> None:
        status, version, why = 0, "", ""
        late = self._now() - intended
        fresh = number % NEW_CONNECTION_EVERY == 0
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                status, version, why = await self._exchange(self._encoded(number), fresh)
        except TimeoutError:
            why = f"no answer within {TIMEOUT_SECONDS:.0f} s"
        except Exception as error:  # whatever it was, the request has no answer, and that is what counts
            why = str(error) or type(error).__name__
        self._batch.append(Sample(intended, self._now() - intended, status, version, why, late))

    def _encoded(self, number: int) -> bytes:
        return self._request(number).encode(self.settings.authority)

    async def _exchange(self, request: bytes, fresh: bool) -> Answer:
        connection = await self._connection(fresh)
        try:
            answer = await connection.exchange(request)
        except BaseException:
            connection.close()
            raise
        if connection.reusable and len(self._pool) < POOL_MAX:
            self._pool.append(connection)
        else:
            connection.close()
        return answer

    async def _connection(self, fresh: bool) -> Connection:
        while self._pool and not fresh:
            connection = self._pool.pop()
            if connection.transport and connection.reusable and not connection.transport.is_closing():
                return connection
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, self.settings.host, self.settings.port)
        return connection

    async def _flush_often(self) -> None:
        with contextlib.suppress(BrokenPipeError):  # whoever started this was killed; no load may outlive that
            while True:
                await asyncio.sleep(BATCH_SECONDS)
                self._flush()

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        if batch:
            self._emit(batch)


def _print(batch: list[Sample]) -> None:
    rows = [(s.intended, s.latency, s.status, s.version, s.error, s.late) for s in batch]
    sys.stdout.buffer.write(orjson.dumps(rows) + b"\n")
    sys.stdout.buffer.flush()


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Load(settings, _print).run(stop)


class LoadEnded(Exception):
    """The load ended before it was stopped; what was counted is not what was to be counted."""


class LoadProcess:
    """The load generator in a process of its own; samples arrive through `on_samples`."""

    def __init__(self, settings: Settings, on_samples: Callable[[list[Sample]], None]) -> None:
        self._settings = settings
        self._on_samples = on_samples
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._stopped = False

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "dabbawala.demo.load",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=BATCH_BYTES_MAX,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps(asdict(self._settings)))
        self._process.stdin.close()
        self._reader = asyncio.create_task(self._read())

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if line.endswith(b"\n"):  # what was being written by a process that was killed is no batch
                self._on_samples([Sample(*row) for row in orjson.loads(line)])

    async def finished(self) -> None:
        """Wait until the limit is reached and everything is answered. Raises LoadEnded for any other end."""
        if self._process is not None and self._reader is not None:
            await self._reader
            if await self._process.wait():
                self.check()
            self._stopped = True

    def check(self) -> None:
        """Raises LoadEnded when nothing is sent any more, and nobody has stopped it."""
        if self._process is not None and self._process.returncode is not None and not self._stopped:
            raise self._ended(self._process.returncode)

    def _ended(self, code: int) -> LoadEnded:
        how = f"was killed by signal {-code}" if code < 0 else f"ended by itself with status {code}"
        return LoadEnded(f"the load on {self._settings.authority} {how} before it was stopped")

    async def stop(self) -> None:
        """End the sending, and wait until everything in flight is answered and counted. Raises LoadEnded when it had
        ended before, or did not come to that."""
        try:
            self.check()
        finally:
            await self.close()
        if self._process is not None and self._process.returncode not in (0, -signal.SIGTERM):
            raise self._ended(self._process.returncode or 0)

    async def close(self) -> None:
        """The same, whatever became of it."""
        if self._process is None or self._reader is None:
            return
        self._stopped = True
        if self._process.returncode is None:
            self._process.terminate()
        await self._reader
        await self._process.wait()


def main() -> None:
    uvloop.install()
    uvloop.run(_serve(Settings(**orjson.loads(sys.stdin.buffer.read()))))


if __name__ == "__main__":
    main()
