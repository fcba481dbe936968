"""Keys in line: once each, later when asked, slower after failures, never two at once."""

from __future__ import annotations

import asyncio

from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.reconcile.queue import FIRST_DELAY, LAST_DELAY, WorkQueue


def test_a_key_added_twice_is_worked_on_once() -> None:
    queue: WorkQueue[str] = WorkQueue(VirtualClock())
    queue.add("a")
    queue.add("a")
    assert [queue.take(), queue.take()] == ["a", None]


def test_a_key_that_comes_while_it_is_worked_on_waits_until_that_is_done() -> None:
    queue: WorkQueue[str] = WorkQueue(VirtualClock())
    queue.add("a")
    assert queue.take() == "a"
    queue.add("a")
    assert queue.take() is None
    queue.done("a")
    assert queue.take() == "a"


def test_the_earliest_of_several_wishes_counts() -> None:
    clock = VirtualClock()
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add_after("a", 10)
    queue.add_after("a", 3)
    queue.add_after("a", 20)
    assert queue.next_due() == 3
    clock.advance(3)
    assert queue.take() == "a"
    queue.done("a")
    clock.advance(30)
    assert queue.take() is None


def test_failures_in_a_row_wait_longer_up_to_a_bound_and_success_forgets_them() -> None:
    queue: WorkQueue[str] = WorkQueue(VirtualClock())
    delays = [queue.retry("a") for _ in range(40)]
    assert delays[:3] == [FIRST_DELAY, 2 * FIRST_DELAY, 4 * FIRST_DELAY]
    assert delays[-1] == LAST_DELAY
    queue.succeed("a")
    assert queue.retry("a") == FIRST_DELAY


async def test_a_waiting_worker_gets_a_key_when_its_time_has_come() -> None:
    clock = VirtualClock()
    queue: WorkQueue[str] = WorkQueue(clock)
    worker = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.add_after("a", 5)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not worker.done()
    clock.advance(5)
    assert await asyncio.wait_for(worker, 5) == "a"


async def test_several_workers_share_the_line() -> None:
    queue: WorkQueue[int] = WorkQueue(VirtualClock())
    workers = [asyncio.ensure_future(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    for number in range(3):
        queue.add(number)
    assert sorted(await asyncio.wait_for(asyncio.gather(*workers), 5)) == [0, 1, 2]
