"""What is measured of a release from outside: every switch, however soon another follows it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dabbawala.api import core_v1
from dabbawala.api.kinds import KINDS
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.demo import releases
from dabbawala.demo.outcome import Observation
from dabbawala.demo.watching import PROGRAMMED, ReleaseWatch
from dabbawala.reconcile.cache import Change

RELEASE = next(item for item in releases.RELEASES if item.service is releases.TATKAL)


def door(generation: int, *, accepted: int) -> Object:
    """The Service as written for the nth time, when every node runs the text of that generation."""
    condition = {"type": PROGRAMMED["Service"], "status": "True", "observedGeneration": accepted}
    name, space = RELEASE.service.doors[0], RELEASE.service.namespace
    return {
        "metadata": {"name": name, "namespace": space, "generation": generation},
        "spec": {"selector": {"revision": str(generation)}},
        "status": {"conditions": [condition]},
    }


@asynccontextmanager
async def watching(clock: VirtualClock) -> AsyncIterator[ReleaseWatch]:
    async with APIServer.in_memory(KINDS, clock=clock) as server:
        seen = Observation(RELEASE.service.rollout, RELEASE.strategy, RELEASE.previous, RELEASE.version, 0.0)
        watch = ReleaseWatch(server.client(), clock, RELEASE, seen)
        watch.changed(core_v1.SERVICE, Change(None, door(1, accepted=1)))
        watch.begin()
        yield watch


async def test_a_slow_switch_that_is_overtaken_counts_in_full() -> None:
    clock = VirtualClock()
    async with watching(clock) as watch:
        for seconds, written, accepted in ((0, 2, 1), (5, 3, 1), (1, 3, 2), (1, 3, 3)):
            clock.advance(seconds)
            watch.changed(core_v1.SERVICE, Change(None, door(written, accepted=accepted)))
        assert watch.seen.switches == [pytest.approx(6), pytest.approx(2)]


async def test_one_acceptance_ends_all_the_switches_before_it() -> None:
    clock = VirtualClock()
    async with watching(clock) as watch:
        for seconds, written, accepted in ((0, 2, 1), (5, 3, 1), (1, 3, 3)):
            clock.advance(seconds)
            watch.changed(core_v1.SERVICE, Change(None, door(written, accepted=accepted)))
        assert watch.seen.switches == [pytest.approx(6), pytest.approx(1)]


async def test_a_switch_that_never_came_through_has_taken_until_the_end() -> None:
    clock = VirtualClock()
    async with watching(clock) as watch:
        watch.changed(core_v1.SERVICE, Change(None, door(2, accepted=1)))
        clock.advance(9)
        await watch.stop()
        assert watch.seen.switches == [pytest.approx(9)]
