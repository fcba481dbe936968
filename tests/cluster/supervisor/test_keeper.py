"""Processes that are kept running: started again, ever later, and forgiven."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.cluster.sandbox.client import SandboxError
from dabbawala.cluster.sandbox.spec import ProcessStatus
from dabbawala.cluster.supervisor import keeper


class Holder:
    """Stands where the holder stands: the process ends when the test says so."""

    def __init__(self, clock: VirtualClock, *, runs_already: bool = False) -> None:
        self._clock = clock
        self._runs = runs_already
        self._ends = asyncio.Event()
        self.starts: list[float] = []

    async def spawn(self) -> int:
        if self._runs:
            raise SandboxError(keeper.ALREADY_RUNNING, "it runs")
        self._runs = True
        self.starts.append(self._clock.monotonic())
        return 1

    async def wait(self, name: str) -> ProcessStatus:
        await self._ends.wait()
        self._ends.clear()
        self._runs = False
        return ProcessStatus(name=name, pid=1, running=False, exit_code=1)

    def end(self) -> None:
        self._ends.set()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def kept(holder: Any, clock: VirtualClock) -> AsyncIterator[None]:
    task = asyncio.create_task(keeper.keep(holder, "part", holder.spawn, clock))
    await settled()
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def end_and_wait(holder: Holder, clock: VirtualClock, seconds: float) -> None:
    holder.end()
    await settled()
    clock.advance(seconds)
    await settled()


async def test_a_process_that_ends_at_once_is_started_ever_later_up_to_a_bound() -> None:
    clock = VirtualClock()
    holder = Holder(clock)
    async with kept(holder, clock):
        for _ in range(12):
            await end_and_wait(holder, clock, keeper.LAST_DELAY_SECONDS)
    assert len(holder.starts) == 13


async def test_it_is_not_started_before_its_delay_is_over() -> None:
    clock = VirtualClock()
    holder = Holder(clock)
    async with kept(holder, clock):
        await end_and_wait(holder, clock, keeper.FIRST_DELAY_SECONDS)
        await end_and_wait(holder, clock, keeper.FIRST_DELAY_SECONDS)
        assert len(holder.starts) == 2, "the second delay is longer than the first"
        clock.advance(keeper.FIRST_DELAY_SECONDS)
        await settled()
        assert len(holder.starts) == 3


async def test_one_that_stayed_up_is_forgiven() -> None:
    clock = VirtualClock()
    holder = Holder(clock)
    async with kept(holder, clock):
        for _ in range(5):
            await end_and_wait(holder, clock, keeper.LAST_DELAY_SECONDS)
        clock.advance(keeper.FORGIVEN_AFTER_SECONDS + 1)
        await end_and_wait(holder, clock, keeper.FIRST_DELAY_SECONDS)
    assert len(holder.starts) == 7


async def test_one_that_is_killed_again_and_again_while_it_is_well_waits_no_longer_each_time() -> None:
    clock = VirtualClock()
    holder = Holder(clock)
    async with kept(holder, clock):
        for _ in range(50):
            clock.advance(keeper.FORGIVEN_AFTER_SECONDS + 1)
            await end_and_wait(holder, clock, keeper.FIRST_DELAY_SECONDS)
    assert len(holder.starts) == 51


async def test_one_that_outlived_the_control_plane_is_watched_and_not_started_twice() -> None:
    clock = VirtualClock()
    holder = Holder(clock, runs_already=True)
    async with kept(holder, clock):
        assert holder.starts == []
        await end_and_wait(holder, clock, keeper.FIRST_DELAY_SECONDS)
        assert len(holder.starts) == 1


async def test_a_refusal_for_another_reason_is_not_swallowed() -> None:
    clock = VirtualClock()
    holder: Any = Holder(clock)

    async def spawn() -> int:
        raise SandboxError("NotFound", "there is no such program")

    with pytest.raises(SandboxError, match="no such program"):
        await keeper.keep(holder, "part", spawn, clock)
