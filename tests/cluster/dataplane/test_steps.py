"""Laws of the way from one configuration to the next: whatever the two are, no step on it can hurt a request."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dabbawala.cluster.dataplane import xds
from dabbawala.cluster.dataplane.resources import Config, Resource

NAMES = ("a", "b", "c", "d")


def listener(name: str) -> Resource:
    return {"name": name, "rds": name}


def route(name: str, clusters: list[str]) -> Resource:
    return {"name": name, "clusters": clusters}


def endpoints(name: str, addresses: list[int]) -> Resource:
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"address": each} for each in addresses]}]}


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Complete configurations: routes lead to clusters that are there and have endpoints, listeners to routes."""
    clusters = draw(st.sets(st.sampled_from(NAMES), min_size=1))
    routed = draw(st.sets(st.sampled_from(NAMES)))
    heard = draw(st.sets(st.sampled_from(sorted(routed)))) if routed else set()
    targets = st.lists(st.sampled_from(sorted(clusters)), min_size=1, max_size=2, unique=True)
    addresses = st.lists(st.integers(1, 5), min_size=1, max_size=3, unique=True)
    return Config(
        {name: listener(name) for name in sorted(heard)},
        {name: {"name": name, "policy": draw(st.integers(0, 1))} for name in sorted(clusters)},
        {name: route(name, draw(targets)) for name in sorted(routed)},
        {name: endpoints(name, draw(addresses)) for name in sorted(clusters)},
    )


def addresses(resource: Resource) -> set[int]:
    return {end["address"] for end in resource["endpoints"][0]["lb_endpoints"]}


@settings(max_examples=100)
@given(configs(), configs())
def test_no_step_refers_to_what_is_not_there(current: Config, wanted: Config) -> None:
    last = current
    for step in xds.steps(current, wanted):
        for routes in (last.routes, step.routes):  # Envoy may still have the old routes when it gets the new clusters
            for entry in routes.values():
                assert set(entry["clusters"]) <= step.clusters.keys() | last.clusters.keys()
        for entry in step.routes.values():
            assert set(entry["clusters"]) <= step.clusters.keys()
        assert step.listeners.keys() <= step.routes.keys()
        assert step.endpoints.keys() == step.clusters.keys()
        last = step
    assert last == wanted


@settings(max_examples=100)
@given(configs(), configs())
def test_clusters_are_there_before_routes_and_after_them(current: Config, wanted: Config) -> None:
    """Files are read one by one: at no single moment may a route be newer or older than what it needs."""
    last = current
    for step in xds.steps(current, wanted):
        if step.routes != last.routes:
            needed = {
                cluster for entry in [*last.routes.values(), *step.routes.values()] for cluster in entry["clusters"]
            }
            assert needed <= last.clusters.keys()
            assert needed <= step.clusters.keys()
        last = step


@settings(max_examples=100)
@given(configs(), configs())
def test_no_cluster_loses_an_endpoint_while_routes_move(current: Config, wanted: Config) -> None:
    last = current
    for step in xds.steps(current, wanted):
        if step.routes != last.routes:
            for name in last.endpoints.keys() & step.endpoints.keys():
                assert addresses(last.endpoints[name]) <= addresses(step.endpoints[name])
        last = step


@given(configs())
def test_what_is_so_already_takes_one_step(config: Config) -> None:
    assert list(xds.steps(config, config)) == [config]


@given(configs(), configs())
def test_a_version_is_a_matter_of_content_alone(one: Config, other: Config) -> None:
    encoder = xds.Encoder()
    encoder.encode(other)
    again = encoder.encode(one)
    assert again == xds.Encoder().encode(one)
    assert (xds.Encoder().encode(other) == again) == (one == other)
