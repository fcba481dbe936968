"""The real API server in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from dabbawala.api.kinds import KINDS
from dabbawala.client.client import Client
from dabbawala.cluster.apiserver.app import APIServer

DEADLINE = 10.0


@pytest.fixture
async def server() -> AsyncIterator[APIServer]:
    async with APIServer.in_memory(KINDS) as made:
        yield made


@pytest.fixture
def client(server: APIServer) -> Client:
    return server.client()


async def until(what: str, check: Callable[[], object]) -> None:
    """Let other tasks work until `check` holds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + DEADLINE
    while not check():
        assert loop.time() < end, f"not within {DEADLINE} s: {what}"
        await asyncio.sleep(0.002)
