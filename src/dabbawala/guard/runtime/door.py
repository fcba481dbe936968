"""One small HTTP server: numbers and health to read, and a place where Falco and falcosidekick post their events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from dabbawala.guard.runtime import reported
from dabbawala.guard.runtime.alerts import Alert

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CLOSE_SECONDS_MAX = 2.0


class CannotListen(Exception):
    """The address cannot be had; the message says why and what to do."""


@asynccontextmanager
async def opened(address: str, numbers: Callable[[], str], take: Callable[[Alert], None]) -> AsyncIterator[str]:
    """Serve at `host:port`, and give the address that was bound. Raises CannotListen."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        raise CannotListen(f"{address!r} is no address to serve at; give host:port, such as 127.0.0.1:2801")
    app = web.Application(client_max_size=reported.EVENT_BYTES_MAX)
    app.add_routes([web.get("/metrics", _numbers(numbers)), web.get("/healthz", _healthy)])
    app.add_routes([web.post("/", _posted(take)), web.post("/falco", _posted(take))])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSE_SECONDS_MAX)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host.strip("[]") or "0.0.0.0", int(port))
        try:
            await site.start()
        except OSError as error:
            raise CannotListen(f"{address} cannot be listened at: {error.strerror or error}") from error
        yield "{}:{}".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _numbers(render: Callable[[], str]) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=render().encode(), headers={"content-type": CONTENT_TYPE})

    return answer


async def _healthy(request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


def _posted(take: Callable[[Alert], None]) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        try:
            take(reported.read(await request.read()))
        except reported.BadEvent as wrong:
            return web.Response(status=400, text=f"{wrong}\n")
        return web.Response(text="ok\n")

    return answer
