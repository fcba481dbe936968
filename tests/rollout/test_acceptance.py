"""Whether the data plane has taken something in: by its word where it gives one, by time where it does not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dabbawala.apimachinery import clock
from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import acceptance
from dabbawala.rollout.acceptance import PROPAGATION_SECONDS
from dabbawala.rollout.rehearsal import START
from tests.rollout.given import canary, rollout

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


def test_a_retreat_is_not_held_up_by_a_node_that_lags_behind() -> None:
    lagging = steered("Service", programmed(2, "False", "dabbawala.dev/Programmed"))
    assert acceptance.unprogrammed(lagging) is not None
    assert acceptance.unprogrammed(lagging, retreat=True) is None
    older = steered("Service", programmed(1, "True", "dabbawala.dev/Programmed"))
    assert acceptance.unprogrammed(older, retreat=True) is not None, "its selector may have moved meanwhile"
