"""Jobs in seeded worlds: whatever happens in between, every pod is counted once."""

from __future__ import annotations

import pytest

from dabbawala.cluster.controllers.job import plan as planning
from tests.simulation.jobs import JobWorld


async def live(seed: int) -> None:
    try:
        await JobWorld(seed).live()
    except AssertionError as broken:
        raise AssertionError(f"seed {seed}: {broken}") from broken


async def test_every_pod_is_counted_once() -> None:
    for seed in range(300):
        await live(seed)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_every_pod_is_counted_once_in_five_thousand_worlds() -> None:
    for seed in range(300, 5300):
        await live(seed)


async def test_counts_go_wrong_when_finalizers_go_before_the_status_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    report = planning._report

    def hasty(turn: object, status: object) -> object:
        return tuple(reversed(report(turn, status)))  # type: ignore[arg-type]  # the same arguments

    monkeypatch.setattr(planning, "_report", hasty)
    for seed in range(300):
        try:
            await live(seed)
        except AssertionError:
            return
    raise AssertionError("no world broke: the laws do not notice what they are there for")
