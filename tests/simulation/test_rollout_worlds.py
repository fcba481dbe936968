"""Rollouts in seeded worlds with late reads, lost watches, conflicts, lost answers, crashes and a lagging Envoy."""

from __future__ import annotations

import pytest

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


async def test_a_seed_replays_exactly() -> None:
    first, second = await live(7), await live(7)
    assert first.world.store.objects == second.world.store.objects
    assert first.world.events == second.world.events
