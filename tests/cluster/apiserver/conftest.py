"""The real API server in memory, as everybody's tests use it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dabbawala.api.kinds import KINDS
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.client.client import Client
from dabbawala.cluster.apiserver.app import APIServer


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def server(clock: VirtualClock) -> AsyncIterator[APIServer]:
    async with APIServer.in_memory(KINDS, clock=clock) as server:
        yield server


@pytest.fixture
def client(server: APIServer) -> Client:
    return server.client()
