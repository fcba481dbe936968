"""Requests beyond the limit wait their turn, and beyond the queue are told to come back."""

from __future__ import annotations

import asyncio

import pytest

from dabbawala.apimachinery.status import TooManyRequests
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.apiserver.limits import Slots
from tests.cluster.apiserver.core_calls import CONFIG_MAPS, call


async def test_waiters_are_served_in_order_and_never_too_many_at_once() -> None:
    slots, inside, most, order = Slots(2), 0, 0, []

    async def work(number: int) -> None:
        nonlocal inside, most
        async with slots:
            inside += 1
            most = max(most, inside)
            order.append(number)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(work(number) for number in range(20)))
    assert most == 2
    assert order == sorted(order)


async def test_a_full_queue_says_when_to_come_back() -> None:
    slots = Slots(0, queued=1)
    first = asyncio.create_task(slots.__aenter__())
    await asyncio.sleep(0)
    with pytest.raises(TooManyRequests) as caught:
        await slots.__aenter__()
    assert caught.value.details["retryAfterSeconds"] == 1
    first.cancel()


async def test_a_waiter_that_gives_up_leaves_its_place() -> None:
    slots = Slots(1)
    async with slots:
        waiting = [asyncio.create_task(slots.__aenter__()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
    await asyncio.wait_for(waiting[1], 5)
    assert not waiting[2].done()
    await slots.__aexit__(None, None, None)
    await asyncio.wait_for(waiting[2], 5)


async def test_a_body_over_the_limit_or_nested_too_deeply_is_refused(server: APIServer) -> None:
    big = await call(server, "POST", CONFIG_MAPS, b"x" * (3 * 1024 * 1024 + 1))
    assert (big.status, big.json["reason"]) == (413, "RequestEntityTooLarge")
    deep = b'{"metadata":{"name":"a"},"spec":' + b'{"a":' * 600 + b"1" + b"}" * 601
    for path in (CONFIG_MAPS, "/apis/argoproj.io/v1alpha1/namespaces/default/rollouts"):
        assert (await call(server, "POST", path, deep)).status == 400
