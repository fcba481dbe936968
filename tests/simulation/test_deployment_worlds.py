"""Deployment and ReplicaSet in seeded worlds with late reads, lost watches, conflicts, lost answers and crashes.

1,000 in an ordinary run, 9,000 more in `make soak`, about 100 a second on one core; `test_rollout_worlds.py` has those
of Rollouts.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.controllers.deployment import scaling
from dabbawala.reconcile.cache import Cache, Change, revision_of
from dabbawala.reconcile.own_writes import OwnWrites
from tests.simulation.deployments import DeploymentWorld

SEEDS = range(1000)
SOAK_SEEDS = range(1000, 10_000)


async def live(seed: int) -> DeploymentWorld:
    world = DeploymentWorld(seed)
    try:
        await world.live()
    except AssertionError as broken:
        raise AssertionError(f"seed {seed}: {broken}") from broken
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


async def test_worlds_break_when_controllers_do_not_wait_for_their_own_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OwnWrites, "park", lambda self, key: False)
    await five_worlds_break()


async def test_worlds_break_when_a_list_half_taken_in_claims_its_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Cache.replace

    def hasty(self: Cache, objects: Iterable[Object], revision: int) -> Iterable[Change]:
        for change in replace(self, objects, revision):
            self.advance(revision_of(change.object))
            yield change

    monkeypatch.setattr(Cache, "replace", hasty)
    await five_worlds_break()


async def five_worlds_break() -> None:
    broken = 0
    for seed in range(120):
        if broken == 5:
            return
        try:
            await live(seed)
        except AssertionError:
            broken += 1
    raise AssertionError(f"only {broken} of 120 worlds broke: the laws do not notice what they are there for")


async def test_worlds_break_when_sizes_asked_for_are_counted_instead_of_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "has_settled", lambda item: True)
    for seed in range(400):
        try:
            await live(seed)
        except AssertionError as broken:
            if "active pods where at most" in str(broken):
                return
    raise AssertionError("no world broke: the laws do not notice what they are there for")
