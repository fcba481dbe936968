"""Which pods go first when there are too many: those that serve least and whose loss spreads best.

Source: ActivePodsWithRanks in pkg/controller/controller_utils.go; the cost is KEP-2255.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile import pods

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def deletion_order(
    active: Iterable[Object], related: Sequence[Object], now: datetime, *, min_ready_seconds: int = 0
) -> list[Object]:
    """All of `active`, the first to be deleted first: not on a node, not running, not ready, not yet available (a
    criterion that Kubernetes lacks: it may take an available pod before one that does not count yet), cheap, doubled
    up on a node, ready for a short time, often restarted, young."""
    crowd = Counter(pods.node_name(pod) for pod in related if pods.node_name(pod))

    def rank(pod: Object) -> tuple[object, ...]:
        node = pods.node_name(pod)
        return (
            bool(node),
            _PHASES.get(pods.phase(pod), 2),
            pods.is_ready(pod),
            pods.is_available(pod, min_ready_seconds, now),
            _cost(pod),
            -crowd[node],
            _age_class(pods.ready_since(pod), now),
            -pods.restarts(pod),
            _age_class(_created(pod), now),
            meta.uid(pod),
        )

    return sorted(active, key=rank)


def _cost(pod: Object) -> int:
    try:
        return int(meta.annotations(pod).get(DELETION_COST, 0))
    except ValueError:
        return 0


def _created(pod: Object) -> datetime | None:
    created = meta.metadata(pod).get("creationTimestamp")
    return clock.parse_time(created) if created else None


def _age_class(moment: datetime | None, now: datetime) -> int:
    """Ages are compared by powers of two of their seconds, so that near-equal pods are chosen from at random
    (by uid)."""
    if moment is None:
        return -1
    return int(math.log2(max((now - moment).total_seconds(), 1.0)))
