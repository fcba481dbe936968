"""How fast the whole of who reaches whom is computed: 500 namespaces, 2,000 NetworkPolicies, 10,000 pods.

    python bench/network.py [--namespaces N] [--policies N] [--pods N] [--sample N]

The peer is the brute force that the tests hold the answers to: the documentation's sentences asked pair by pair, port
by port, without grouping anything. It answers a sample of the pairs in the same run, half of them ways that are open,
and what it would take for all of them is its time per pair times the pairs; every sampled answer is compared.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dabbawala.apimachinery import meta
from dabbawala.policy.network import Graph

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.policy.network_oracle import Oracle  # the peer is the tests' oracle, which is no package

Object = dict[str, Any]
TARGET_SECONDS = 5.0
SERVICES = ("web", "api", "worker", "db", "cache")
PORTS = {"web": 8080, "api": 9090, "worker": 7070, "db": 5432, "cache": 6379}
TEAMS, RANGES = 25, ("10.0.0.0/8",)
ASKED = (("TCP", 9090), ("TCP", 5432), ("UDP", 53))


def name_of(number: int) -> str:
    return f"ns-{number}"


def namespaces(count: int) -> list[Object]:
    zone = ("card", "internal", "edge")
    return [
        {"metadata": {"name": name_of(n), "labels": {"team": f"t{n % TEAMS}", "zone": zone[n % len(zone)]}}}
        for n in range(count)
    ]


def pods(count: int, namespace_count: int, draw: random.Random) -> list[Object]:
    """As Deployments make them: a hash and a name of its own on each, which no policy asks for."""
    found = []
    for number in range(count):
        app = SERVICES[number // namespace_count % len(SERVICES)]
        labels = {"app": app, "pod-template-hash": f"{number % 97:x}", "version": f"v{draw.randint(1, 2)}"}
        if app == "db" and number % 3 == 0:
            labels["data-class"] = "card"
        metadata = {"name": f"{app}-{number}", "namespace": name_of(number % namespace_count), "labels": labels}
        port = {"name": "main", "containerPort": PORTS[app]}
        spec = {"nodeName": f"node-{number % 200}", "containers": [{"name": app, "ports": [port]}]}
        status = {"phase": "Running", "podIP": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"}
        found.append({"metadata": metadata, "spec": spec, "status": status})
    return found


def policies(count: int, namespace_count: int, draw: random.Random) -> list[Object]:
    """Of each namespace: nothing by default, then the ways between its own services, from other teams, to outside."""
    return [
        policy(number, name_of(number % namespace_count), number // namespace_count, draw) for number in range(count)
    ]


def policy(number: int, namespace: str, kind: int, draw: random.Random) -> Object:
    """A quarter of the namespaces have no default and only some services isolated, so that most of the world is open
    to somebody; every policy draws peers and ports of its own, so that few rules are alike."""
    app = {"matchLabels": {"app": draw.choice(SERVICES)}}
    team = {"matchLabels": {"team": f"t{draw.randrange(TEAMS)}"}}
    others = {"namespaceSelector": team, "podSelector": app}
    lenient = {"podSelector": app, "ingress": [{"from": [{"namespaceSelector": team}]}]}
    block = {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "169.254.169.254/32"]}
    back = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["api", "db", "cache"]}]}
    some = {"port": 5000 + number % 500, "endPort": 6000 + number % 1500}
    edge = [
        {"ipBlock": {"cidr": f"203.0.{number % 256}.0/24"}},
        {"namespaceSelector": {"matchLabels": {"zone": "edge"}}},
    ]
    specs: list[Object] = [
        lenient if number % 4 == 0 else {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        {"podSelector": back, "ingress": [{"from": [{"podSelector": {}}, others], "ports": [{"port": "main"}, some]}]},
        {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [
                {"to": [{"podSelector": {}}, others], "ports": [{"port": 1024, "endPort": 9999}]},
                {"to": [{"namespaceSelector": {}}], "ports": [{"protocol": "UDP", "port": 53}]},
                {"to": [{"ipBlock": block}], "ports": [{"port": 443}]},
            ],
        },
        {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"from": edge, "ports": [some, {"port": 8080}]}]},
    ]
    return {"metadata": {"name": f"p-{number}", "namespace": namespace}, "spec": specs[kind % len(specs)]}


def computed(world: tuple[list[Object], list[Object], list[Object]]) -> tuple[Graph, float, float]:
    begun = time.perf_counter()
    graph = Graph(*world, pod_ranges=RANGES)
    built = time.perf_counter()
    cells = sum(region.sources.bit_count() for column in graph.matrix.columns for region in column)
    done = time.perf_counter()
    print(f"  classes            {len(graph.classes.members):>12,}   of {len(graph.pods):,} pods")
    print(f"  open cells         {cells:>12,}   (class to class, per set of ports)")
    return graph, built - begun, done - built


def brute_force(graph: Graph, world: tuple[list[Object], list[Object], list[Object]], sample: int) -> float:
    """Seconds per pair and port; every answer is compared."""
    oracle, draw = Oracle(*world, RANGES), random.Random(2)
    pairs = [*opened(graph, world[1], sample // 2, draw), *anywhere(world[1], sample - sample // 2, draw)]
    begun = time.perf_counter()
    expected = [oracle.allows(source, destination, port, protocol) for source, destination, protocol, port in pairs]
    spent = time.perf_counter() - begun
    for (source, destination, protocol, port), answer in zip(pairs, expected, strict=True):
        if graph.allows(meta.key(source), meta.key(destination), port, protocol) is not answer:
            raise SystemExit(f"{meta.key(source)} to {meta.key(destination)} on {protocol} {port}: not {answer}")
    print(f"  compared           {len(pairs):>12,}   answers, {sum(expected):,} of them yes; all agree")
    return spent / len(pairs)


def anywhere(listed: list[Object], count: int, draw: random.Random) -> Iterator[tuple[Object, Object, str, int]]:
    return ((*draw.sample(listed, 2), *draw.choice(ASKED)) for _ in range(count))


def opened(
    graph: Graph, listed: list[Object], count: int, draw: random.Random
) -> Iterator[tuple[Object, Object, str, int]]:
    """Ways that the matrix has as open."""
    by_key = {meta.key(pod): pod for pod in listed}
    ways = {(protocol, port): list(graph.matrix.pairs(port, protocol)) for protocol, port in ASKED}
    for _ in range(count):
        protocol, port = draw.choice(ASKED)
        ends = draw.choice(ways[protocol, port])
        source, destination = (by_key[draw.choice(graph.classes.members[end]).key] for end in ends)
        if source is not destination:
            yield source, destination, protocol, port


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    for name, count in (("namespaces", 500), ("policies", 2_000), ("pods", 10_000), ("sample", 2_000)):
        options.add_argument(f"--{name}", type=int, default=count)
    given, draw = options.parse_args(), random.Random(1)
    world = (
        namespaces(given.namespaces),
        pods(given.pods, given.namespaces, draw),
        policies(given.policies, given.namespaces, draw),
    )
    print(f"{given.namespaces:,} namespaces, {given.policies:,} policies, {given.pods:,} pods")
    graph, building, filling = computed(world)
    total = building + filling
    each = brute_force(graph, world, given.sample)
    whole = each * given.pods * (given.pods - 1) * len(ASKED)
    faster = f"target {TARGET_SECONDS:.0f} s: {TARGET_SECONDS / total:.1f} times as fast"
    print(f"  classes and rules  {building:>12.2f} s")
    print(f"  full matrix        {filling:>12.2f} s   every class, every port")
    print(f"  in all             {total:>12.2f} s   {faster}")
    print(f"  brute force        {each * 1e6:>12.0f} us  a pair and port: {whole / 3600:,.0f} h for {len(ASKED)} ports")
    print(f"  ratio              {whole / total:>12,.0f}   times the speed of brute force")
    print(f"  memory             {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:>12,.0f} MB at most")


if __name__ == "__main__":
    main()
