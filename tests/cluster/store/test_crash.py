"""kill -9 at any instant: what was acknowledged is there afterwards."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dabbawala.cluster.store.store import Store

_PROGRAM = Path(__file__).with_name("crashing_writer.py")


def _killed_after(path: Path, lines: int) -> dict[str, int]:
    """Run the writer, kill it after so many acknowledgements; the newest acknowledged revision of each key."""
    with subprocess.Popen(
        [sys.executable, str(_PROGRAM), str(path), "8"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        acknowledged: dict[str, int] = {}
        for count, line in enumerate(process.stdout):
            if count == lines:
                process.kill()
            if line.endswith("\n"):
                name, revision = line.split()
                acknowledged[name] = int(revision)
        watchdog.cancel()
    return acknowledged


async def _check(path: Path, acknowledged: dict[str, int]) -> None:
    store = await Store.open(path)
    held = {entry.key.name: entry for entry in store.list("pods")}
    for name, revision in acknowledged.items():
        assert held[name].revision >= revision
    for entry in held.values():
        assert entry.body.endswith(str(entry.revision).encode())
    assert store.revision >= max(acknowledged.values(), default=0)
    await store.close()


@pytest.mark.parametrize("seed", range(4))
async def test_every_acknowledged_write_survives_kill_nine(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "state.db"
    chance = random.Random(seed)
    for _ in range(2):
        await _check(path, _killed_after(path, chance.randrange(0, 3000)))


@pytest.mark.soak
@pytest.mark.timeout(1200)
async def test_every_acknowledged_write_survives_two_hundred_kills(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    chance = random.Random(1)
    for _ in range(200):
        await _check(path, _killed_after(path, chance.randrange(0, 5000)))
