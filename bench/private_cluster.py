"""A cluster of a benchmark's own: started by the command, in a folder of its own, and gone afterwards."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS_MAX = 120


@dataclass(frozen=True)
class PrivateCluster:
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        places = {"HOME": self.home, "XDG_DATA_HOME": self.home / "data", "XDG_RUNTIME_DIR": self.home / "run"}
        return {**os.environ, **{name: str(path) for name, path in places.items()}}

    @property
    def data(self) -> Path:
        return self.home / "data/dabbawala/clusters/default"

    @property
    def kubeconfig(self) -> Path:
        return self.data / "kubeconfig"

    @property
    def control_plane_pid(self) -> int:
        record = next((self.home / "run/dabbawala").glob("*/controlplane.json"))
        return int(json.loads(record.read_text())["pid"])

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "dabbawala.cli.main", *words]

    def dabba(self, *words: str) -> str:
        done = subprocess.run(
            self.command(*words),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=START_SECONDS_MAX,
            check=False,
        )
        if done.returncode:
            sys.exit(f"dabba {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout


@contextmanager
def private_cluster() -> Iterator[PrivateCluster]:
    """Not yet up; down and removed at the end."""
    with tempfile.TemporaryDirectory(prefix="b") as folder:
        cluster = PrivateCluster(Path(folder))
        (cluster.home / "run").mkdir(mode=0o700)
        try:
            yield cluster
        finally:
            cluster.dabba("down")


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def distance(measured: float, target: float, *, more_is_better: bool) -> str:
    """In words: how far from the target."""
    if (measured >= target) if more_is_better else (measured <= target):
        return "reached"
    factor = target / measured if more_is_better else measured / target
    return f"short by a factor of {factor:.1f}"


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, load {load:.1f} when this began"
