"""Rollouts in seeded worlds with late reads, lost watches, conflicts, lost answers, crashes and a lagging Envoy.

A quarter of the worlds each is blue-green, a canary by pods alone, by the weights of two Services, and by the subsets
of a DestinationRule; ReplicaSets and EndpointSlices are run by the production controllers. An ordinary run has 400 of
them and 1,000 of Deployments, `make soak` 5,600 and 9,000 more, about 20 and 100 a second on one core.
"""

from __future__ import annotations

import pytest

from dabbawala.rollout import acceptance
from tests.simulation.rollouts import RolloutWorld

SEEDS = range(400)
SOAK_SEEDS = range(400, 6_000)


async def live(seed: int) -> RolloutWorld:
    world = RolloutWorld(seed)
    try:
        await world.live()
    except AssertionError as broken:
        raise AssertionError(f"seed {seed}, {world.script.kind}: {broken}") from broken
    return world


@pytest.mark.parametrize("chunk", range(10))
async def test_the_laws_hold_in_every_world(chunk: int) -> None:
    for seed in SEEDS[chunk::10]:
        await live(seed)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_the_laws_hold_in_thousands_of_worlds() -> None:
    for seed in SOAK_SEEDS:
        await live(seed)


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(668, id="all that the surge allows is held by two older versions, one of them for its Service"),
        pytest.param(2023, id="a third version begins while the stable set has shrunk to nothing behind the second"),
    ],
)
async def test_worlds_that_once_broke_hold(seed: int) -> None:
    await live(seed)


async def test_a_seed_replays_exactly() -> None:
    first, second = await live(7), await live(7)
    assert first.world.store.objects == second.world.store.objects
    assert first.world.events == second.world.events


async def test_worlds_break_when_a_door_does_not_wait_for_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptance, "endpoints_blocker", lambda *asked: None)
    for seed in SEEDS:
        try:
            await live(seed)
        except AssertionError as broken:
            if "would find nobody" in str(broken):
                return
    raise AssertionError("no world broke: the laws do not notice what they are there for")
