"""How many pods each ReplicaSet of a Deployment gets next.

Pure numbers: a `Sizes` maps sets to new sizes. During a rolling update the sum of all sizes never exceeds
`replicas + maxSurge`, and sets shrink only as far as the available pods that remain allow. Where Kubernetes counts
sizes that were asked for, this counts pods that may still be there: nothing grows while a set has not yet come down
to its size, and nothing shrinks on the availability of a set that has not yet seen its size. So the bounds hold for
pods, not just for numbers.
Source: pkg/controller/deployment/rolling.go, sync.go (scale) and util (GetFencepostReplicas…) in Kubernetes 1.37.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.controllers.deployment import revisions


class Bounds(NamedTuple):
    """A Deployment's size and how far a rolling update may stray from it, in pods."""

    replicas: int
    max_surge: int
    max_unavailable: int

    @property
    def most(self) -> int:
        return self.replicas + self.max_surge

    @property
    def fewest_available(self) -> int:
        return self.replicas - self.max_unavailable


class Size(NamedTuple):
    """A ReplicaSet and the size it shall have."""

    set: Object
    replicas: int


def bounds(deployment: Object) -> Bounds:
    """Surge is rounded up and unavailability down; when both come to nothing, one pod may be unavailable.
    Recreate knows neither."""
    replicas = revisions.wanted(deployment)
    strategy = deployment["spec"].get("strategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return Bounds(replicas, 0, 0)
    rolling = strategy.get("rollingUpdate") or {}
    surge = _share(rolling.get("maxSurge", "25%"), replicas, up=True)
    unavailable = _share(rolling.get("maxUnavailable", "25%"), replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Bounds(replicas, surge, min(unavailable, replicas))


def _share(value: int | str, total: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    exact = int(value.removesuffix("%")) * total / 100
    return math.ceil(exact) if up else math.floor(exact)


def size(item: Object) -> int:
    """`spec.replicas` of a set."""
    return int(item["spec"].get("replicas") or 0)


def available(item: Object) -> int:
    """Available pods that count on staying: a set that was told to shrink keeps at most its new size."""
    return min(int((item.get("status") or {}).get("availableReplicas") or 0), size(item))


def has_seen_size(item: Object) -> bool:
    """The status of the set was written for its present spec, so its counts can be relied on."""
    return int((item.get("status") or {}).get("observedGeneration") or 0) >= meta.generation(item)


def has_settled(item: Object) -> bool:
    """The set has no more pods than its size."""
    return has_seen_size(item) and int((item.get("status") or {}).get("replicas") or 0) <= size(item)


def total(sets: Iterable[Object]) -> int:
    return sum(map(size, sets))


def first_size(limits: Bounds, old: Sequence[Object], *, rolling: bool) -> int:
    """The size with which the new set is made."""
    if not rolling:
        return limits.replicas
    return _grown(limits, total(old), 0) if all(map(has_settled, old)) else 0


def grow_new(limits: Bounds, new: Object, old: Sequence[Object]) -> Size | None:
    """The next size of the new set, or None when it is right."""
    has = size(new)
    if has == limits.replicas:
        return None
    if has > limits.replicas:
        return Size(new, limits.replicas)
    if not all(map(has_settled, old)):
        return None
    grown = _grown(limits, has + total(old), has)
    return Size(new, grown) if grown != has else None


def _grown(limits: Bounds, everything: int, has: int) -> int:
    room = max(limits.most - everything, 0)
    return has + min(room, limits.replicas - has)


def shrink_old(limits: Bounds, new: Object, old: Sequence[Object]) -> list[Size]:
    """Shrink the old sets, pods that are not available first, as far as availability allows."""
    if not all(map(has_seen_size, (new, *old))):
        return []
    everything = total(old) + size(new)
    new_unavailable = size(new) - available(new)
    allowed = everything - limits.fewest_available - new_unavailable
    if total(old) == 0 or allowed <= 0:
        return []
    sizes = {meta.uid(item): size(item) for item in old}
    ordered = [item for item in revisions.by_age(old) if size(item) > 0]
    for item in ordered:
        unhealthy = min(allowed, size(item) - available(item))
        sizes[meta.uid(item)] -= unhealthy
        allowed -= unhealthy
    spare = available(new) + sum(map(available, old)) - limits.fewest_available
    for item in ordered:
        surplus = max(min(spare, sizes[meta.uid(item)]), 0)
        sizes[meta.uid(item)] -= surplus
        spare -= surplus
    return [Size(item, sizes[meta.uid(item)]) for item in ordered if sizes[meta.uid(item)] != size(item)]


def is_scaling(deployment: Object, sets: Iterable[Object]) -> bool:
    """The Deployment's size has changed since its active sets were last sized."""
    wanted = str(revisions.wanted(deployment))
    return any(meta.annotations(item).get(revisions.DESIRED, wanted) != wanted for item in sets if size(item) > 0)


def resize(deployment: Object, new: Object | None, old: Sequence[Object]) -> list[Size]:
    """New sizes after `spec.replicas` changed, or while paused: the only active set gets all; otherwise every set
    gets its share, and what rounding leaves goes to the largest."""
    limits = bounds(deployment)
    everything = [*old, *([new] if new is not None else [])]
    active = [item for item in everything if size(item) > 0]
    only = _active_or_latest(new, old, active)
    if any(not has_settled(item) for item in everything if item is not only):
        return []  # what shrinks has to be gone before anything grows; the sets' next status brings us back
    if only is not None:
        return [Size(only, limits.replicas)]
    if new is not None and _is_saturated(deployment, new, limits):
        return [Size(item, 0) for item in revisions.by_age(old) if size(item) > 0]
    if (deployment["spec"].get("strategy") or {}).get("type", "RollingUpdate") != "RollingUpdate":
        return [Size(item, size(item)) for item in active]
    return _proportional(deployment, active, limits)


def _active_or_latest(new: Object | None, old: Sequence[Object], active: Sequence[Object]) -> Object | None:
    if len(active) > 1:
        return None
    if active:
        return active[0]
    return new if new is not None else next(reversed(revisions.by_age(old)), None)


def _is_saturated(deployment: Object, new: Object, limits: Bounds) -> bool:
    desired = meta.annotations(new).get(revisions.DESIRED)
    return size(new) == limits.replicas == available(new) and desired == str(limits.replicas)


def _proportional(deployment: Object, active: Sequence[Object], limits: Bounds) -> list[Size]:
    allowed = limits.most if limits.replicas > 0 else 0
    change = allowed - total(active)
    ordered = revisions.by_age(active)
    if change > 0:
        ordered.reverse()
    ordered.sort(key=size, reverse=True)
    sizes: list[Size] = []
    added = 0
    for item in ordered:
        part = _part(deployment, item, limits)
        part = min(part, change - added) if change > 0 else max(part, change - added)
        part = part if change else 0
        added += part
        sizes.append(Size(item, size(item) + part))
    if sizes and change != added:
        sizes[0] = Size(sizes[0].set, max(sizes[0].replicas + change - added, 0))
    return sizes


def _part(deployment: Object, item: Object, limits: Bounds) -> int:
    """What a set of this size gains or loses when the whole goes from its old maximum to the new one."""
    if limits.replicas == 0:
        return -size(item)
    before = int(meta.annotations(item).get(revisions.MAXIMUM) or 0)
    before = before or int((deployment.get("status") or {}).get("replicas") or 0)
    if before == 0:
        return 0
    exact = Decimal(size(item) * limits.most) / Decimal(before)
    return int(exact.to_integral_value(ROUND_HALF_UP)) - size(item)
