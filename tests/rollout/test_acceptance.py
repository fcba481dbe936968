"""Whether the data plane has taken something in: by its word where it gives one, by time where it does not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dabbawala.api import apps_v1, core_v1, discovery_v1
from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import acceptance, sets
from dabbawala.rollout.acceptance import PROPAGATION_SECONDS
from dabbawala.rollout.controller import RolloutController
from dabbawala.rollout.observed import Observed
from dabbawala.rollout.reading import Snapshot
from dabbawala.rollout.rehearsal import START
from tests.rollout.given import SPACE, blue_green, canary, rollout

ROLLOUT = rollout(canary(routed=True))
KINDS = ("DestinationRule", "VirtualService")


def steered(kind: str, *conditions: Object) -> Object:
    """Written just now, as generation 2."""
    stamp = {"dabbawala.dev/route-changed-at": clock.format_time(START)}
    metadata = {"name": "web", "generation": 2, "annotations": stamp}
    return {"kind": kind, "metadata": metadata, "status": {"conditions": list(conditions)}}


def programmed(generation: int, status: str = "True", type_: str = "Programmed") -> Object:
    return {"type": type_, "status": status, "observedGeneration": generation, "message": "node-2: no answer yet"}


@pytest.mark.parametrize("kind", KINDS)
def test_where_the_data_plane_speaks_its_word_counts_and_no_time(kind: str) -> None:
    assert acceptance.route_blocker(steered(kind, programmed(2)), ROLLOUT, START) is None
    late = START + timedelta(seconds=10 * PROPAGATION_SECONDS)
    for lagging in (programmed(1), programmed(2, "False")):
        found = acceptance.route_blocker(steered(kind, lagging), ROLLOUT, late)
        assert found is not None
        assert (found.reason, found.until) == ("NotProgrammed", None)
        assert kind in found.message


@pytest.mark.parametrize("kind", KINDS)
def test_where_nobody_speaks_the_route_is_given_its_time(kind: str) -> None:
    found = acceptance.route_blocker(steered(kind), ROLLOUT, START)
    assert found is not None
    assert (found.reason, found.until) == ("RoutePropagating", START + timedelta(seconds=PROPAGATION_SECONDS))
    assert acceptance.route_blocker(steered(kind), ROLLOUT, found.until) is None


# Whose endpoint is it?

UID = "uid-rollout"


def replica_set(name: str) -> Object:
    owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "web", "uid": UID, "controller": True}
    metadata = {"name": name, "namespace": SPACE, "uid": f"uid-{name}", "ownerReferences": [owner]}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": {"replicas": 3}}


def pods(owner: Object, count: int, letter: str) -> list[Object]:
    """Named as the API server names them: no more than 58 characters of the owner's, and five of its own."""
    prefix = f"{owner['metadata']['name']}-"[:58]
    return [
        {
            "metadata": {
                "name": f"{prefix}{letter * 4}{number}",
                "namespace": SPACE,
                "uid": f"{prefix}{letter}{number}",
                "ownerReferences": [meta.owner_reference(owner)],
            }
        }
        for number in range(count)
    ]


def seen(rollout_name: str, old: list[Object], new: list[Object], *sets: Object) -> Observed:
    """What the controller observes of a Service whose endpoints are all of the pods."""
    refs = [{"kind": "Pod", "name": meta.name(pod)} for pod in (*old, *new)]
    metadata = {"name": "slice", "namespace": SPACE, "labels": {"kubernetes.io/service-name": "active"}}
    piece = {"metadata": metadata, "endpoints": [{"conditions": {"ready": True}, "targetRef": ref} for ref in refs]}
    snapshot = Snapshot()
    snapshot.fill(apps_v1.REPLICA_SET, list(sets))
    snapshot.fill(core_v1.POD, [*old, *new])
    snapshot.fill(discovery_v1.ENDPOINT_SLICE, [piece])
    body = rollout(blue_green())
    body["metadata"] |= {"name": rollout_name, "uid": UID}
    return RolloutController().observe(body, snapshot)


@pytest.mark.parametrize("length", [3, 40, 46, 47, 48, 49, 50, 56, 57, 58, 63, 100])
def test_endpoints_belong_to_their_set_however_long_its_name_is(length: int) -> None:
    name = "x" * length
    old, new = replica_set(f"{name}-7fd9b5545c"), replica_set(f"{name}-7fd9b5545d")
    world = seen(name, pods(old, 3, "b"), pods(new, 2, "c"), old, new)
    assert acceptance.ready_endpoints(world, "active", sets.read(old)) == 3
    assert acceptance.ready_endpoints(world, "active", sets.read(new)) == 2


def test_a_pod_that_only_its_owner_tells_apart_is_looked_at_when_it_comes() -> None:
    """Its endpoint may have been seen before it."""
    watch = next(watch for watch in RolloutController().watches if watch.kind is core_v1.POD)
    for length, matters in ((3, False), (60, True)):
        snapshot = Snapshot()
        owner = replica_set("x" * length + "-7fd9b5545c")
        snapshot.fill(apps_v1.REPLICA_SET, [owner])
        assert bool(list(watch.keys(pods(owner, 1, "b")[0], snapshot))) is matters


def test_a_retreat_is_not_held_up_by_a_node_that_lags_behind() -> None:
    lagging = steered("Service", programmed(2, "False", "dabbawala.dev/Programmed"))
    assert acceptance.unprogrammed(lagging) is not None
    assert acceptance.unprogrammed(lagging, retreat=True) is None
    older = steered("Service", programmed(1, "True", "dabbawala.dev/Programmed"))
    assert acceptance.unprogrammed(older, retreat=True) is not None, "its selector may have moved meanwhile"
