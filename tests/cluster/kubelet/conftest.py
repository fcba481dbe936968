"""One node for a test module's worth of pods is enough: they have names of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.cluster.kubelet.node_world import NodeWorld, node_world


@pytest.fixture
async def world() -> AsyncIterator[NodeWorld]:
    async with node_world() as made:
        yield made
