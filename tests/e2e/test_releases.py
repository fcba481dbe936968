"""Releases under constant load, at a size for every day; `bench/release.py` alone does a hundred times as many.

The bench starts its own cluster, prints every request that failed or was misled, and says by its exit status whether
there was any. What it judges by is tested here too, for a judge that sees nothing finds nothing.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"
SECONDS_MAX = 110


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return _bench("release_allowed", monkeypatch)


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return _bench("release_ledger", monkeypatch)


def _bench(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of the bench folder, which is no package: its programs are run, not imported."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module(name)


def test_no_request_fails_and_none_is_misled_in_a_row_of_releases(process_pods: None) -> None:
    size = ("--releases", "6", "--requests", "10000", "--rate", "400")
    done = subprocess.run(
        [sys.executable, str(BENCH / "release.py"), *size],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "requests that were not 2xx: 0" in done.stdout
    assert "requests answered by a version that its step did not allow: 0" in done.stdout


def replica_set(hash_: str, version: str) -> dict[str, Any]:
    template = {"spec": {"containers": [{"image": f"shop/catalog:{version}"}]}}
    metadata = {"name": hash_, "labels": {"rollouts-pod-template-hash": hash_}}
    return {"kind": "ReplicaSet", "metadata": metadata, "spec": {"template": template}}


def service(name: str, hash_: str, generation: int, *, run: int) -> dict[str, Any]:
    condition = {"type": "dabbawala.dev/Programmed", "status": "True", "observedGeneration": run}
    return {
        "kind": "Service",
        "metadata": {"name": name, "generation": generation},
        "spec": {"selector": {"rollouts-pod-template-hash": hash_}},
        "status": {"conditions": [condition]},
    }


def route(lane: str, weight: int, generation: int, *, run: int) -> dict[str, Any]:
    condition = {"type": "Programmed", "status": "True", "observedGeneration": run}
    sides = [
        {"destination": {"host": f"{lane}-stable"}, "weight": 100 - weight},
        {"destination": {"host": f"{lane}-canary"}, "weight": weight},
    ]
    return {
        "kind": "VirtualService",
        "metadata": {"name": lane, "generation": generation},
        "spec": {"http": [{"name": "primary", "route": sides}]},
        "status": {"conditions": [condition]},
    }


def canary(allowed: ModuleType) -> Any:
    """At second 1 all is with v1; 25 % go to v2 by a write at 10 that every node runs at 11; back at 20, run at 21."""
    lane = allowed.Lane("canary", 31000)
    seen = allowed.Allowed(lane)
    for obj in (replica_set("a", "v1"), replica_set("b", "v2")):
        seen.saw(obj, 0)
    for side, hash_ in (("stable", "a"), ("canary", "b")):
        seen.saw(service(f"{lane.name}-{side}", hash_, 1, run=1), 0)
    for at, weight, generation, run in ((1, 0, 1, 1), (10, 25, 2, 1), (11, 25, 2, 2), (20, 0, 3, 2), (21, 0, 3, 3)):
        seen.saw(route(lane.name, weight, generation, run=run), at)
    return seen


def test_a_version_may_answer_from_the_write_of_its_route_until_every_node_runs_another(allowed: ModuleType) -> None:
    seen = canary(allowed)
    assert seen.between(5, 6) == {"v1"}
    assert seen.between(10.1, 10.2) == {"v1", "v2"}
    assert seen.between(20.5, 20.6) == {"v1", "v2"}
    assert seen.between(21.1, 21.2) == {"v1"}
    assert seen.between(20.9, 25) == {"v1", "v2"}, "in flight across the switch"
    assert seen.switches == [0, 1, 1, 0, 0]


def test_a_blue_green_switch_is_one_of_the_active_service(allowed: ModuleType) -> None:
    lane = allowed.Lane("blue-green", 31000)
    seen = allowed.Allowed(lane)
    for obj in (replica_set("a", "v1"), replica_set("b", "v2"), service(lane.door, "a", 1, run=1)):
        seen.saw(obj, 0)
    seen.saw(service(f"{lane.name}-preview", "b", 1, run=1), 1)
    assert seen.now == {"v1"}
    seen.saw(service(lane.door, "b", 2, run=1), 2)
    assert seen.now == {"v1", "v2"}
    seen.saw(service(lane.door, "b", 2, run=2), 3)
    assert seen.now == {"v2"}


def test_an_answer_of_a_version_that_was_not_allowed_is_found(allowed: ModuleType, ledger: ModuleType) -> None:
    seen, book = canary(allowed), ledger.Ledger()
    right = (5.0, "v1"), (15.0, "v2"), (22.0, "v1")
    early, wrong = (9.9, "v2"), ((5.0, "v2"), (22.0, "v2"))
    book.take(ledger.Sample(sent, 0.01, 200, version) for sent, version in (*right, early, *wrong))
    found = ledger.judge(book, seen)
    assert [(sent, version) for sent, _, version in found.misled] == list(wrong)
    assert found.early == 1
    assert found.earliest == pytest.approx(0.09)


def test_what_the_client_sent_late_is_judged_from_when_it_was_sent(allowed: ModuleType, ledger: ModuleType) -> None:
    seen, book = canary(allowed), ledger.Ledger()
    book.take([ledger.Sample(20.5, 1.5, 200, "v2", "", late=1.0)])
    assert len(ledger.judge(book, seen).misled) == 1


def test_everything_that_is_not_2xx_is_kept_in_full(ledger: ModuleType) -> None:
    book = ledger.Ledger()
    failed = [
        ledger.Sample(1.0, 0.1, 503, "v1"),
        ledger.Sample(2.0, 0.1, 0, "", "reset"),
        ledger.Sample(3.0, 0.1, 302, "v1"),
    ]
    book.take([ledger.Sample(0.0, 0.1, 201, "v1"), *failed])
    assert book.failed == failed
    assert len(book) == 4
