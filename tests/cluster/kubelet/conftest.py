"""One node for a test module's worth of pods is enough: they have names of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.cluster.kubelet.node_world import NodeWorld, node_world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world() -> AsyncIterator[NodeWorld]:
    async with node_world() as made:
        yield made
