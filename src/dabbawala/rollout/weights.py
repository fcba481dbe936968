"""How many of all pods, and how much of all traffic, a weight means.

Source: Argo Rollouts, utils/replicaset/canary.go and docs/features/canary.md.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import spec, state


class Counts(NamedTuple):
    """Pods of the two sides."""

    canary: int
    stable: int


def set_weight(rollout: Object) -> int:
    """The weight that the steps ask for now: the last setWeight at or before the current step; 0 before any and
    after an abort; the maximum after the last step, when there are no steps, and when there is nothing to canary."""
    maximum = spec.max_weight(rollout)
    if state.promotes_fully(rollout) or state.current_hash(rollout) == state.stable_hash(rollout):
        return maximum
    if not state.stable_hash(rollout):
        return maximum
    if state.is_aborted(rollout):
        return 0
    if state.current_step(rollout) is None:
        return maximum
    return weight_at(rollout, state.step_index(rollout) or 0)


def weight_at(rollout: Object, index: int) -> int:
    """The last setWeight at or before step `index`; 0 before any."""
    for step in reversed(spec.steps(rollout)[: index + 1]):
        if step.get("setWeight") is not None:
            return int(step["setWeight"])
    return 0


def previous_weight(rollout: Object) -> int:
    """The last setWeight strictly before the current step."""
    index = state.step_index(rollout) or 0
    return weight_at(rollout, index - 1) if index > 0 else 0


def canary_scale(rollout: Object) -> Object | None:
    """The setCanaryScale in force: only with a traffic router, not after an abort (unless the aborted set is kept),
    and until a later one says `matchTrafficWeight`."""
    if spec.routing(rollout) is None or state.current_step(rollout) is None:
        return None
    if state.promotes_fully(rollout) or state.is_fully_promoted(rollout):
        return None
    if state.is_aborted(rollout) and spec.abort_scale_down_delay(rollout) is not None:
        return None
    index = state.step_index(rollout) or 0
    for step in reversed(spec.steps(rollout)[: index + 1]):
        found: Object | None = step.get("setCanaryScale")
        if found is not None:
            return None if found.get("matchTrafficWeight") else found
    return None


def basic_counts(replicas: int, weight: int, surge: int, maximum: int = spec.MAX_WEIGHT) -> Counts:
    """The split of `replicas` pods, or of one more where a surge is allowed, that comes nearest to the weight.

    Neither side is rounded away while it has a share and there is room for two pods; an exact half favours the
    canary.
    """
    if replicas == 0:
        return Counts(0, 0)
    best, nearest = Counts(replicas, 0), math.inf
    for total in (replicas, replicas + 1) if surge > 0 else (replicas,):
        for canary in _candidates(replicas, weight, total, room=replicas + min(surge, 1), maximum=maximum):
            distance = abs(canary * maximum - weight * total) / total
            if distance < nearest:
                best, nearest = Counts(canary, total - canary), distance
    return best


def _candidates(replicas: int, weight: int, total: int, *, room: int, maximum: int) -> list[int]:
    """Canary counts to consider: rounded up, then rounded down. `room` is how many pods there may be in all."""
    floor, rest = divmod(replicas * weight, maximum)
    partial, ceil = 0 < weight < maximum, floor + bool(rest)
    erases_stable = partial and ceil == total and room > 1
    erases_canary = partial and floor == 0 and room > 1
    up = [] if erases_stable else [ceil]
    down = [] if erases_canary or (up and 2 * rest == maximum) else [floor]
    return up + down


def routed_counts(rollout: Object, actual_stable_weight: int) -> Counts:
    """Counts behind a traffic router: the stable set keeps all its pods, unless it scales with the traffic it
    still has (`actual_stable_weight`, as last accepted by the data plane)."""
    replicas, maximum = spec.replicas(rollout), spec.max_weight(rollout)
    weight, scale = set_weight(rollout), canary_scale(rollout)
    canary = at_least(rollout, of_weight(replicas, weight, maximum))
    if scale and scale.get("replicas") is not None:
        canary = int(scale["replicas"])
    elif scale and scale.get("weight") is not None:
        canary = at_least(rollout, of_weight(replicas, int(scale["weight"]), maximum))
    if not spec.is_dynamic(rollout):
        return Counts(canary, replicas)
    stable = max(of_weight(replicas, part, maximum) for part in (maximum - weight, actual_stable_weight))
    if state.is_aborted(rollout):
        canary = max(canary, at_least(rollout, of_weight(replicas, maximum - actual_stable_weight, maximum)))
    return Counts(canary, at_least(rollout, stable))


def of_weight(replicas: int, weight: int, maximum: int = spec.MAX_WEIGHT) -> int:
    return -(-replicas * weight // maximum)


def at_least(rollout: Object, count: int) -> int:
    """`minPodsPerReplicaSet` raises a count that is not 0, as far as there are replicas."""
    if count == 0 or spec.routing(rollout) is None:
        return count
    return max(count, min(spec.min_pods(rollout), spec.replicas(rollout)))
