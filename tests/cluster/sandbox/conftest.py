"""Sandboxes for tests. Where this machine forbids them, the tests say why they were skipped."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dabbawala.cluster.sandbox import probe
from tests.cluster.sandbox.sandboxes import World, sandbox


@pytest.fixture(scope="session")
def possible() -> None:
    verdict = probe.run()
    if not verdict.possible:
        pytest.skip(verdict.explain())


@pytest.fixture
async def world(possible: None) -> AsyncIterator[World]:
    async with sandbox() as made:
        yield made


@pytest.fixture
async def two_nodes(possible: None) -> AsyncIterator[World]:
    async with sandbox(nodes=2) as made:
        yield made
