"""The ReplicaSets of a Rollout, read: which is new, which is stable, which are the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import identity, keys, spec, state
from dabbawala.rollout.replicas import Side


@dataclass(frozen=True, slots=True)
class Set:
    """A ReplicaSet, with what decisions need of it. `deadline` is when it may go to 0 after losing its traffic."""

    object: Object
    name: str
    hash: str
    revision: int
    spec: int
    replicas: int
    ready: int
    available: int
    created: str
    deadline: datetime | None
    desired: int | None

    @property
    def side(self) -> Side:
        raw = int((self.object.get("status") or {}).get("availableReplicas") or 0)
        return Side(self.spec, raw, self.replicas)

    @property
    def is_observed(self) -> bool:
        """Its own controller has acted on its present size; until then its counts are of an older one."""
        seen = (self.object.get("status") or {}).get("observedGeneration")
        return seen is None or int(seen) >= meta.generation(self.object)

    @property
    def sure(self) -> int:
        """Available pods to build upon: none while the counts are of an older size, for they may be on their way
        out. A set's own decisions to give up use `available`."""
        return self.available if self.is_observed else 0


NO_SIDE = Side(0, 0)


def read(obj: Object) -> Set:
    status, annotations = obj.get("status") or {}, meta.annotations(obj)
    wanted = (obj.get("spec") or {}).get("replicas")
    deadline, desired = annotations.get(keys.SCALE_DOWN_DEADLINE), annotations.get(keys.DESIRED_REPLICAS)
    return Set(
        object=obj,
        name=meta.name(obj),
        hash=str(meta.labels(obj).get(keys.HASH, "")),
        revision=number(annotations.get(keys.REVISION)),
        spec=1 if wanted is None else int(wanted),
        replicas=int(status.get("replicas") or 0),
        ready=int(status.get("readyReplicas") or 0),
        available=min(int(status.get("availableReplicas") or 0), 1 if wanted is None else int(wanted)),
        created=str(meta.metadata(obj).get("creationTimestamp") or ""),
        deadline=_moment(deadline),
        desired=number(desired) if desired is not None else None,
    )


def number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


def _moment(text: str | None) -> datetime | None:
    try:
        return clock.parse_time(text) if text else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Sets:
    """`others` are ordered by revision, oldest first. `new` and `stable` may be the same."""

    new: Set | None
    stable: Set | None
    others: tuple[Set, ...]

    @property
    def all(self) -> tuple[Set, ...]:
        """Each once: stable, new, others."""
        first = [item for item in (self.stable, self.new) if item is not None]
        if len(first) == 2 and first[0].name == first[1].name:
            first.pop()
        return (*first, *self.others)

    @property
    def two_sided(self) -> bool:
        """There is a stable set other than the new one."""
        return self.stable is not None and (self.new is None or self.new.name != self.stable.name)

    def by_hash(self, hash_: str) -> Set | None:
        return next((item for item in self.all if item.hash == hash_), None) if hash_ else None


def classify(rollout: Object, objects: Iterable[Object]) -> Sets:
    """Sort the owned ReplicaSets by role."""
    owned = sorted(objects, key=lambda obj: (meta.metadata(obj).get("creationTimestamp") or "", meta.name(obj)))
    found = identity.find(spec.template(rollout), owned, state.collision_count(rollout))
    read_all = [read(obj) for obj in owned]
    new = next((item for item in read_all if found is not None and item.name == meta.name(found)), None)
    # A blue-green Rollout that was changed between its first switch and its first promotion has users already.
    hash_ = state.stable_hash(rollout) or state.active_hash(rollout)
    stable = next((item for item in read_all if item.hash and item.hash == hash_), None)
    named = {item.name for item in (new, stable) if item is not None}
    others = sorted((item for item in read_all if item.name not in named), key=lambda item: (item.revision, item.name))
    return Sets(new, stable, tuple(others))


def total(sets: Sequence[Set]) -> int:
    return sum(item.replicas for item in sets)
