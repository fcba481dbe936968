"""Golden pairs: what is asked for, and what an Envoy is to run. One idea a case.

Run with UPDATE_GOLDEN=1 in the environment, it writes all expectations anew and removes those whose case is gone; the
difference is then there to be read.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.clock import SystemClock
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.dataplane import destination_rules, dns_table, edge, process, views, virtual_services, worlds
from dabbawala.cluster.dataplane.resources import Config
from dabbawala.cluster.dataplane.translate import Fixtures, translate
from dabbawala.cluster.dataplane.worlds import World
from tests.cluster.dataplane.lab import LocalSpawner

TESTDATA = Path(__file__).parent / "testdata"
INPUT, OUTPUT = ".in.yaml", ".out.yaml"
CASES = sorted(path.name.removesuffix(INPUT) for path in TESTDATA.glob(f"*{INPUT}"))
UPDATE = bool(os.environ.get("UPDATE_GOLDEN"))

FIXTURES = Fixtures({ObjectKey("default", "kubernetes"): "/run/c/api-tls.sock"}, frozenset({"10.96.0.10"}))
NODE = views.Node("node-1", "10.42.1.1", "/run/c/nodes/node-1")


def world_of(objects: list[Object]) -> World:
    def of(kind: str) -> list[Object]:
        return [obj for obj in objects if obj["kind"] == kind]

    pods = {meta.key(pod): meta.labels(pod) for pod in of("Pod")}

    def pod_labels(key: ObjectKey) -> Mapping[str, str]:
        return pods.get(key, {})

    services = views.services(of("Service"), of("EndpointSlice"), pod_labels)
    return worlds.assemble(services, of("VirtualService"), of("DestinationRule"))


def objects_of(case: str) -> list[Object]:
    return [obj for obj in yaml.safe_load_all((TESTDATA / (case + INPUT)).read_text()) if obj]


def parts_of(case: str) -> list[str]:
    """What a case is about, from its first line: `# shows: routes problems`; without it, everything."""
    first = (TESTDATA / (case + INPUT)).read_text().split("\n", 1)[0]
    return first.removeprefix("# shows:").split() if first.startswith("# shows:") else []


def shown(case: str) -> dict[str, Any]:
    objects, parts = objects_of(case), parts_of(case)
    world = world_of(objects)
    problems = {
        f"VirtualService {meta.key(obj)}": [problem.message for problem in virtual_services.problems(obj, world)]
        for obj in world.virtual_services
    }
    for rule in world.destination_rules:
        problems[f"DestinationRule {meta.key(rule)}"] = list(destination_rules.unsupported(rule))
    at_edge = edge.translate(world, [NODE], "/run/c/edge", "127.0.0.1")
    everything = {
        **_plain(translate(world, NODE, FIXTURES)),
        **{f"edge_{name}": part for name, part in _plain(at_edge).items()},
        "dns": dns_table.table(world)["services"],
        "problems": {name: found for name, found in problems.items() if found},
    }
    return {part: content for part, content in everything.items() if content and (part in parts or not parts)}


def _plain(config: Config) -> dict[str, Any]:
    return {
        "listeners": dict(config.listeners),
        "clusters": dict(config.clusters),
        "routes": dict(config.routes),
        "endpoints": dict(config.endpoints),
    }


class _Plain(yaml.SafeDumper):
    """No anchors: every resource can be read by itself."""

    def ignore_aliases(self, data: object) -> bool:
        return True


@pytest.mark.parametrize("case", CASES)
def test_what_is_asked_for_becomes_what_an_envoy_runs(case: str) -> None:
    golden = TESTDATA / (case + OUTPUT)
    found = shown(case)
    if UPDATE:
        golden.write_text(yaml.dump(found, Dumper=_Plain, sort_keys=True, width=120))
    assert yaml.safe_load(golden.read_text()) == yaml.safe_load(yaml.dump(found, Dumper=_Plain))


def test_every_expectation_has_its_case() -> None:
    orphans = [path for path in TESTDATA.glob(f"*{OUTPUT}") if path.name.removesuffix(OUTPUT) not in CASES]
    if UPDATE:
        for path in orphans:
            path.unlink()
    assert UPDATE or not orphans


async def test_every_translation_is_one_that_an_envoy_takes(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, clock, spawner = tmp_path_factory.mktemp("dp"), SystemClock(), LocalSpawner()
    launch = process.node_launch("node-1", folder, folder / "logs")
    plane = process.Plane(launch, folder, spawner, clock, lambda: None)
    node = views.Node("node-1", "10.42.1.1", str(folder))
    try:
        for case in CASES:
            config = _unbound(translate(world_of(objects_of(case)), node, FIXTURES))
            async with asyncio.timeout(10):
                while not (verdict := await plane.deliver(config)).settled:
                    await clock.sleep(0.01)
            assert verdict.accepted, f"{case}: {verdict}"
    finally:
        plane.release()
        await spawner.close()


def _unbound(config: Config) -> Config:
    """The same without listening, for addresses that this machine does not have."""
    tcp = {name: listener for name, listener in config.listeners.items() if "udp_listener_config" not in listener}
    listeners = {name: {**listener, "bind_to_port": False} for name, listener in tcp.items()}
    return replace(config, listeners=listeners)
