"""Weights and revisions as Istio objects: golden pairs, and what stays untouched."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as any_

from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.rollout import traffic
from dabbawala.rollout.traffic import Reference, Sides, Unroutable

KEY = ObjectKey("shop", "web")
BY_SERVICE = Sides("canary", "stable", "", "")
BY_SUBSET = Sides("", "", "canary", "stable")
ALL = Reference(KEY, (), (), ())
PRIMARY = Reference(KEY, ("primary",), (), ())


def to(host: str, weight: int | None = None, *, subset: str = "") -> Object:
    destination = {"host": host} | ({"subset": subset} if subset else {})
    return {"destination": destination} | ({"weight": weight} if weight is not None else {})


def route(*destinations: Object, **more: object) -> Object:
    return {"metadata": {"name": "web"}, "spec": {"hosts": ["web"], "http": [{"route": list(destinations), **more}]}}


PAIRS = [
    (route(to("stable", 100), to("canary", 0)), ALL, BY_SERVICE, 5, [to("stable", 95), to("canary", 5)]),
    (route(to("canary", 0), to("stable", 100)), ALL, BY_SERVICE, 5, [to("canary", 5), to("stable", 95)]),
    (route(to("stable.shop.svc.cluster.local", 100), to("canary.shop", 0)), ALL, BY_SERVICE, 20,
     [to("stable.shop.svc.cluster.local", 80), to("canary.shop", 20)]),
    (route(to("stable")), ALL, BY_SERVICE, 10, [to("stable", 90), to("canary", 10)]),
    (route(to("stable.shop")), ALL, BY_SERVICE, 10, [to("stable.shop", 90), to("canary.shop", 10)]),
    (route(to("web", 100, subset="stable"), to("web", 0, subset="canary")), ALL, BY_SUBSET, 50,
     [to("web", 50, subset="stable"), to("web", 50, subset="canary")]),
    (route(to("web", subset="stable")), ALL, BY_SUBSET, 1,
     [to("web", 99, subset="stable"), to("web", 1, subset="canary")]),
    (route(to("stable", 60), to("canary", 20), to("old", 20)), ALL, BY_SERVICE, 30,
     [to("stable", 70), to("canary", 30)]),
    (route(to("stable", 100), to("canary", 0), name="primary"), PRIMARY, BY_SERVICE, 100,
     [to("stable", 0), to("canary", 100)]),
]  # fmt: skip


@pytest.mark.parametrize(("before", "reference", "sides", "weight", "after"), PAIRS)
def test_a_weight_is_written_into_the_route(
    before: Object, reference: Reference, sides: Sides, weight: int, after: list[Object]
) -> None:
    copy = deepcopy(before)
    made = traffic.with_weight(before, reference, sides, weight)
    assert made["http"][0]["route"] == after
    assert before == copy, "the input is not changed"
    written = {**before, "spec": made}
    assert traffic.weight(written, reference, sides) == weight
    assert traffic.is_uniform(written, reference, sides, weight)


def test_what_else_a_route_and_an_object_carry_stays() -> None:
    more = {"name": "primary", "timeout": "5s", "retries": {"attempts": 0}, "match": [{"uri": {"prefix": "/"}}]}
    before = route(to("stable", 100), to("canary", 0), **more)
    before["spec"]["http"].append({"name": "other", "route": [to("elsewhere", 100)]})
    before["spec"]["http"][0]["route"][0]["headers"] = {"response": {"set": {"x": "1"}}}
    made = traffic.with_weight(before, PRIMARY, BY_SERVICE, 40)
    assert {key: value for key, value in made["http"][0].items() if key != "route"} == more
    assert made["http"][0]["route"][0]["headers"] == {"response": {"set": {"x": "1"}}}
    assert made["http"][1] == before["spec"]["http"][1]
    assert made["hosts"] == ["web"]


def test_tcp_and_tls_routes_are_found_by_port_and_name() -> None:
    spec = {
        "tcp": [{"match": [{"port": 5432}], "route": [to("stable", 100), to("canary", 0)]}],
        "tls": [{"match": [{"port": 443, "sniHosts": ["a", "b"]}], "route": [to("stable", 100), to("canary", 0)]}],
    }
    body = {"metadata": {"name": "web"}, "spec": spec}
    made = traffic.with_weight(body, Reference(KEY, (), ({"port": 443, "sniHosts": ["a"]},), ()), BY_SERVICE, 10)
    assert made["tls"][0]["route"][1]["weight"] == 10
    assert made["tcp"] == spec["tcp"]
    made = traffic.with_weight(body, Reference(KEY, (), (), ({"port": 5432},)), BY_SERVICE, 10)
    assert made["tcp"][0]["route"][1]["weight"] == 10


@pytest.mark.parametrize(
    ("body", "reference", "message"),
    [
        ({"spec": {}}, ALL, "has no route to steer"),
        ({"spec": {"http": [{"route": [to("stable")]}, {"route": [to("stable")]}]}}, ALL, "has 2 http routes"),
        (route(to("stable")), PRIMARY, "has no HTTP route named primary"),
        (route(to("elsewhere")), ALL, "'stable' not found in route http"),
    ],
)
def test_a_route_that_cannot_be_steered_is_said(body: Object, reference: Reference, message: str) -> None:
    with pytest.raises(Unroutable, match=message):
        traffic.check(body, reference, BY_SERVICE)


def test_a_subset_gets_its_revision_and_other_subsets_stay() -> None:
    subsets = [{"name": "canary", "labels": {"app": "web"}}, {"name": "mine", "labels": {"x": "y"}}]
    rule = {"metadata": {"name": "web"}, "spec": {"host": "web", "subsets": subsets}}
    made = traffic.with_subset(rule, "canary", "abc")
    assert made["subsets"] == [
        {"name": "canary", "labels": {"app": "web", "rollouts-pod-template-hash": "abc"}},
        {"name": "mine", "labels": {"x": "y"}},
    ]
    assert traffic.subset_hash({"spec": made}, "canary") == "abc"
    with pytest.raises(Unroutable, match="has no subset other"):
        traffic.with_subset(rule, "other", "abc")


@given(any_.lists(any_.integers(0, 100), min_size=1, max_size=8))
def test_weights_always_make_a_hundred(weights: list[int]) -> None:
    body = route(to("stable", 100), to("canary", 0))
    for weight in weights:
        body = {**body, "spec": traffic.with_weight(body, ALL, BY_SERVICE, weight)}
        shares = [item["weight"] for item in body["spec"]["http"][0]["route"]]
        assert sum(shares) == 100
        assert min(shares) >= 0


def test_a_subset_that_is_to_be_left_alone_cannot_share_a_steered_route() -> None:
    who = Sides("", "", "canary", "stable", frozenset({"debug"}))
    shared = route(to("web", 90, subset="stable"), to("web", 10, subset="debug"))
    with pytest.raises(Unroutable, match="route http leads to subset 'debug' of additionalSubsetNames, too"):
        traffic.check(shared, ALL, who)
    traffic.check(route(to("web", 100, subset="stable")), ALL, who)
