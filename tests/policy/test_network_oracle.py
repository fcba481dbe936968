"""The graph says what the documentation says: random small clusters, every pair of places, every kind of port."""

from __future__ import annotations

import itertools

import pytest

from dabbawala.apimachinery import meta
from dabbawala.policy.label_index import members
from dabbawala.policy.network import Graph
from tests.policy.network_oracle import Object, Oracle, Where
from tests.policy.network_worlds import NODES, OUTSIDE, RANGES, World, world

PORTS = (("TCP", 80), ("TCP", 8080), ("TCP", 8081), ("TCP", 9090), ("UDP", 80), ("SCTP", 8080), ("TCP", 65535))
SAMPLED, ALL = 1_000, 10_000
WORDS = "'http'", "endPort", "except", "hostNetwork", "namespaceSelector", "NotIn", "Succeeded", "Always", "podIPs"
EDGES = (("TCP", 1), ("TCP", 79), ("TCP", 81), ("TCP", 100), ("TCP", 101), ("TCP", 8101), ("TCP", 9091), ("UDP", 9090))


def places(found: World, draw: int) -> list[Where]:
    """Every pod, a node that is one's own and one that is another's, and somewhere outside."""
    outside = [OUTSIDE[draw % len(OUTSIDE)], OUTSIDE[(draw + 1) % len(OUTSIDE)]]
    addresses = {p["status"].get("podIP") for p in found.pods}
    node = NODES[sorted(NODES)[draw % 3]]
    return [*found.pods, *outside, *([node] if node not in addresses and _known(found, node) else [])]


def _known(found: World, address: str) -> bool:
    return any(pod["status"].get("hostIP") == address for pod in found.pods)


def nodes() -> list[Object]:
    return [
        {"metadata": {"name": name}, "status": {"addresses": [{"type": "InternalIP", "address": address}]}}
        for name, address in NODES.items()
    ]


def graph_of(found: World) -> Graph:
    return Graph(found.namespaces, found.pods, found.policies, nodes=nodes(), pod_ranges=RANGES)


def agree(seed: int, ports: tuple[tuple[str, int], ...] = PORTS) -> None:
    found = world(seed)
    graph = graph_of(found)
    oracle = Oracle(found.namespaces, found.pods, found.policies, RANGES)
    cells: dict[tuple[int, int, str, int], bool] = {}
    for source, destination in itertools.product(places(found, seed), repeat=2):
        if isinstance(source, str) and isinstance(destination, str):
            continue
        ends = [end if isinstance(end, str) else meta.key(end) for end in (source, destination)]
        for protocol, port in ports:
            expected = oracle.allows(source, destination, port, protocol)
            answer = graph.allows(ends[0], ends[1], port, protocol)
            assert answer is expected, (seed, ends, protocol, port, graph.explain(ends[0], ends[1], port, protocol))
            if source is not destination and not isinstance(ends[0], str) and not isinstance(ends[1], str):
                classes = [graph.classes.index.get(end) for end in ends if not isinstance(end, str)]
                if None not in classes:
                    cell = (classes[0], classes[1], protocol, port)
                    cells[cell] = cells.get(cell, False) or expected  # type: ignore[index]  # None is ruled out
    assert_matrix(graph, cells, ports, seed)


def assert_matrix(
    graph: Graph, cells: dict[tuple[int, int, str, int], bool], ports: tuple[tuple[str, int], ...], seed: int
) -> None:
    """A cell is open if some pod of the one class may reach some other of the other."""
    for protocol, port in ports:
        opened = {(s, d) for (s, d, *at), allowed in cells.items() if allowed and at == [protocol, port]}
        assert set(graph.matrix.pairs(port, protocol)) == opened, (seed, protocol, port)


def test_a_thousand_small_clusters_agree_with_the_documentation() -> None:
    for seed in range(SAMPLED):
        agree(seed)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_ten_thousand_small_clusters_agree_with_the_documentation() -> None:
    for seed in range(SAMPLED, SAMPLED + ALL):
        agree(seed, PORTS + EDGES)


def test_listings_and_zones_say_what_single_questions_say() -> None:
    for seed in range(200):
        found = world(seed)
        graph = graph_of(found)
        keys = [meta.key(pod) for pod in found.pods]
        zone = {key for key in keys if graph.pods[key].labels.get("card") == "yes"}
        for source in keys:
            reached = {key for key in keys if key != source and graph.allows(source, key, 8080)}
            assert set(graph.reachable_from(source, 8080)) == reached
            sources = {key for key in keys if key != source and graph.allows(key, source, 8080)}
            assert set(graph.sources_of(source, 8080)) == sources
        entered = {
            (source, destination, ports)
            for way in graph.matrix.entrances(zone)
            for source in way.sources
            for destination in way.destinations
            for ports in [way.ports]
        }
        pairs = itertools.product(set(keys) - zone, zone)
        assert entered == {(s, d, ports) for s, d in pairs if (ports := graph.ports(s, d))}


def test_worlds_hold_what_they_are_to_prove() -> None:
    """Allowed and refused, by names, ranges, blocks and holes: a comparison of nothing would agree too."""
    seen: dict[str, int] = {}
    for seed in range(300):
        text = str(world(seed))
        for word in WORDS:
            seen[word] = seen.get(word, 0) + (word in text)
        graph = graph_of(world(seed))
        classes = len(graph.classes.members)
        opened = sum(1 for _ in graph.matrix.pairs(8080))
        seen["open"] = seen.get("open", 0) + opened
        seen["shut"] = seen.get("shut", 0) + classes * classes - opened
        seen["merged"] = seen.get("merged", 0) + (classes < sum(not pod.ended for pod in graph.pods.values()))
        assert list(members(graph.classes.everything)) == list(range(classes))
    assert min(seen.values()) > 20, seen
