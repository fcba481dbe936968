"""The laws of generated network policies, on random traffic: all that was seen is allowed, and between what was seen
nothing else; the order of what was seen does not matter; what is written is what was planned."""

from __future__ import annotations

import random
from typing import NamedTuple

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.guard.generate import isolation, observed, proof, traffic
from dabbawala.guard.generate.isolation import DNS_PORTS
from dabbawala.guard.generate.observed import Sighting
from dabbawala.guard.generate.traffic import Addresses, Port, Workload
from dabbawala.guard.generate.writing import render
from dabbawala.policy.network import Graph
from tests.policy.world import pod

KEYS = ("app", "app.kubernetes.io/name", "tier", "track", "x")
PORTS = [Port("TCP", 80), Port("TCP", 8080), Port("UDP", 80), Port("SCTP", 9)]
DNS = Workload("kube-system", (("k8s-app", "kube-dns"),))
OUTSIDE = [Addresses("203.0.113.4/32"), Addresses("203.0.113.5/32"), Addresses("2001:db8::1/128")]

labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(("a", "b")), max_size=3)
workloads = st.builds(
    lambda home, own: Workload(home, traffic.labelled(own)), st.sampled_from(("n1", "n2", "n3")), labels
)


class World(NamedTuple):
    """Workloads, and which of them were seen together."""

    workloads: list[Workload]
    sightings: list[Sighting]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    here = draw(st.lists(workloads, min_size=1, max_size=8, unique=True))
    parties = st.one_of(st.sampled_from(here), st.sampled_from(OUTSIDE))
    found = draw(st.lists(st.builds(Sighting, parties, parties, st.sampled_from(PORTS)), max_size=16))
    inside = [s for s in found if isinstance(s.source, Workload) or isinstance(s.destination, Workload)]
    return World(here, inside)


def graph_of(all_here: list[Workload], policies: list[Object]) -> tuple[Graph, dict[Workload, list[ObjectKey]]]:
    """Each workload as two pods, with labels that only its generation has."""
    pods, keys = [], {}
    for number, workload in enumerate(all_here):
        names = [f"p{number}-{replica}" for replica in (0, 1)]
        for replica, name in enumerate(names):
            extra = {"pod-template-hash": name}
            made = pod(f"{workload.namespace}/{name}", ip=f"10.0.{number}.{replica + 1}", node=name,
                       **dict(workload.labels), **extra)  # fmt: skip
            pods.append(made)
        keys[workload] = [ObjectKey(workload.namespace, name) for name in names]
    return Graph((), pods, policies), keys


@settings(max_examples=60)
@given(worlds())
def test_all_that_was_seen_is_allowed_and_between_what_was_seen_nothing_else(world: World) -> None:
    wish = observed.wish(world.sightings, namespaces=("n1", "n2", "n3"), beside=world.workloads)
    pieces = isolation.plan(wish)
    assert not list(proof.blocked(wish, [piece.object for piece in pieces]))
    graph, keys = graph_of(world.workloads, [piece.object for piece in pieces])
    seen = {(s.source, s.destination, s.port) for s in world.sightings}
    for source in world.workloads:
        for target in world.workloads:
            for one in keys[source]:
                for other in keys[target]:
                    if one == other:
                        continue
                    allowed = {port for port in PORTS if graph.allows(one, other, int(port.number), port.protocol)}
                    assert allowed == {port for port in PORTS if (source, target, port) in seen}
                    assert not graph.allows(one, other, 4711)
        for address in OUTSIDE:
            place = address.cidr.partition("/")[0]
            for port in PORTS:
                number = int(port.number)
                out = graph.allows(keys[source][0], place, number, port.protocol)
                into = graph.allows(place, keys[source][0], number, port.protocol)
                assert out == ((source, address, port) in seen)
                assert into == ((address, source, port) in seen)
        assert not graph.allows(keys[source][0], "203.0.113.6", 80)


@settings(max_examples=30)
@given(worlds())
def test_names_can_be_asked_for_from_everywhere_and_nothing_else_of_the_name_server(world: World) -> None:
    pieces = isolation.plan(observed.wish(world.sightings, namespaces=("n1", "n2", "n3"), beside=world.workloads))
    graph, keys = graph_of([*world.workloads, DNS], [piece.object for piece in pieces])
    for workload in world.workloads:
        for port in DNS_PORTS:
            assert graph.allows(keys[workload][0], keys[DNS][0], int(port.number), port.protocol)
        assert not graph.allows(keys[workload][0], keys[DNS][0], 80)


@settings(max_examples=30)
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_in_which_traffic_was_seen_does_not_matter(world: World, lot: random.Random) -> None:
    mixed = lot.sample(world.sightings, len(world.sightings))
    mixed_beside = lot.sample(world.workloads, len(world.workloads))
    first = render(isolation.plan(observed.wish(world.sightings, beside=world.workloads)))
    assert first == render(isolation.plan(observed.wish(mixed, beside=mixed_beside)))


@settings(max_examples=30)
@given(worlds())
def test_what_is_written_is_what_was_planned_and_no_two_policies_share_a_name(world: World) -> None:
    pieces = isolation.plan(observed.wish(world.sightings, beside=world.workloads))
    assert list(yaml.safe_load_all(render(pieces))) == [piece.object for piece in pieces]
    names = [(piece.object["metadata"]["namespace"], piece.object["metadata"]["name"]) for piece in pieces]
    assert len(names) == len(set(names))


@settings(max_examples=30)
@given(worlds())
def test_without_any_one_rule_something_that_was_seen_would_be_stopped(world: World) -> None:
    wish = observed.wish(world.sightings, namespaces=("n1", "n2", "n3"), beside=world.workloads)
    policies = [piece.object for piece in isolation.plan(wish)]
    for policy in policies:
        if policy["metadata"]["name"] in (isolation.DENY, isolation.NAMES):
            continue
        for section in ("ingress", "egress"):
            rules = policy["spec"].get(section, [])
            for number in range(len(rules)):
                spec = {**policy["spec"], section: [*rules[:number], *rules[number + 1 :]]}
                less = [{**policy, "spec": spec} if other is policy else other for other in policies]
                graph, keys = graph_of(world.workloads, less)
                assert stopped(graph, keys, world.sightings)


def stopped(graph: Graph, keys: dict[Workload, list[ObjectKey]], sightings: list[Sighting]) -> bool:
    for sighting in sightings:
        source, target = (
            keys[party][side] if isinstance(party, Workload) else party.cidr.partition("/")[0]
            for side, party in enumerate(sighting[:2])
        )
        if not graph.allows(source, target, int(sighting.port.number), sighting.port.protocol):
            return True
    return False
