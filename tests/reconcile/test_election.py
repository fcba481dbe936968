"""Of several candidates one leads; when it falls silent another takes over, and never two at once."""

from __future__ import annotations

import asyncio
from typing import Any

from dabbawala.api import coordination_v1
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.apimachinery.meta import ObjectKey
from dabbawala.apimachinery.status import ServiceUnavailable
from dabbawala.client.client import Client
from dabbawala.reconcile.election import LEASE_DURATION, RENEW_DEADLINE, RETRY_PERIOD, Election

LEASE = ObjectKey("kube-system", "dabbawala")


class Candidate:
    def __init__(self, client: Any, clock: VirtualClock, name: str) -> None:
        self.leading = False
        self.election = Election(client, clock, LEASE, name)
        self.task = asyncio.ensure_future(self.election.lead(self._work))

    async def _work(self) -> None:
        self.leading = True
        try:
            await asyncio.Event().wait()
        finally:
            self.leading = False

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class Line:
    """A client whose line can be cut."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.cut = False

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any, **options: Any) -> Any:
            if self.cut:
                raise ServiceUnavailable("the line is cut")
            return await getattr(self._client, name)(*arguments, **options)

        return call


async def pass_time(clock: VirtualClock, seconds: float) -> None:
    for _ in range(int(seconds / 0.5)):
        clock.advance(0.5)
        for _ in range(40):
            await asyncio.sleep(0)


async def test_the_second_waits_and_takes_over_at_once_when_the_first_steps_down(client: Client) -> None:
    clock = VirtualClock()
    first = Candidate(client, clock, "first")
    await pass_time(clock, 1)
    second = Candidate(client, clock, "second")
    await pass_time(clock, 3 * LEASE_DURATION)
    assert (first.leading, second.leading) == (True, False)
    await first.stop()
    await pass_time(clock, 2 * RETRY_PERIOD)
    assert second.leading
    lease = await client.get(coordination_v1.LEASE, LEASE.name, LEASE.namespace)
    assert lease["spec"]["holderIdentity"] == "second"
    assert lease["spec"]["leaseTransitions"] == 1
    await second.stop()


async def test_a_leader_without_a_line_stops_before_another_starts(client: Client) -> None:
    clock, line = VirtualClock(), Line(client)
    first = Candidate(line, clock, "first")
    await pass_time(clock, 1)
    second = Candidate(client, clock, "second")
    await pass_time(clock, 4)
    line.cut = True
    for _ in range(int(3 * LEASE_DURATION)):
        await pass_time(clock, 1)
        assert not (first.leading and second.leading), "two leaders at once"
    assert second.leading
    assert RENEW_DEADLINE < LEASE_DURATION
    await first.stop()
    await second.stop()


async def test_a_leader_whose_renewals_get_no_answer_stops_before_another_may_start(client: Client) -> None:
    clock = VirtualClock()

    class Silent(Line):
        """A line on which nothing comes back."""

        def __getattr__(self, name: str) -> Any:
            answered = super().__getattr__(name)

            async def call(*arguments: Any, **options: Any) -> Any:
                if self.cut:
                    await asyncio.Event().wait()
                return await answered(*arguments, **options)

            return call

    line = Silent(client)
    first = Candidate(line, clock, "first")
    await pass_time(clock, RETRY_PERIOD)
    assert first.leading
    line.cut = True
    await pass_time(clock, RENEW_DEADLINE + 1)
    assert not first.leading
    line.cut = False
    await first.stop()
