"""Which versions may answer at each instant, seen from outside: by watching routes, Services and ReplicaSets.

A route or Service leads where its last accepted generation says; from the moment a new generation is written until
every node runs it (its Programmed condition), it leads where any of them says. A request may be answered by every
version that was allowed at some instant between its sending and its answer, and by no other.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from typing import Any

from release_lanes import Lane

from dabbawala.apimachinery import conditions, meta
from dabbawala.demo.watching import PROGRAMMED
from dabbawala.rollout import keys

Object = dict[str, Any]
HEARD_SECONDS = 0.25
"""A watcher may hear of a write so much later than Envoys do; answers that need this are counted."""


@dataclass
class Course:
    """Where one object leads: what holds, and what has been written since and may hold already."""

    holds: frozenset[str] | None = None
    written: list[tuple[int, frozenset[str], float]] = field(default_factory=list)
    switches: list[float] = field(default_factory=list)

    @property
    def leads(self) -> frozenset[str]:
        return (self.holds or frozenset()).union(*(there for _, there, _ in self.written))

    def saw(self, generation: int, there: frozenset[str], accepted: int, now: float) -> None:
        """`accepted` is the generation that every node runs."""
        known = self.written[-1][1] if self.written else self.holds
        if there != known:
            self.written.append((generation, there, now))
        while self.written and self.written[0][0] <= accepted:
            _, self.holds, since = self.written.pop(0)
            self.switches.append(now - since)


class Allowed:
    """The versions of a lane over time. Times are Unix seconds."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._route = Course(frozenset({lane.door}) if lane.is_blue_green else None)
        self._services: dict[str, Course] = {}
        self._versions: dict[str, str] = {}
        self._times: list[float] = []
        self._sets: list[frozenset[str]] = []

    def saw(self, obj: Object, now: float) -> bool:
        """Take in an object as watched; True when other versions are allowed than before."""
        name = meta.name(obj)
        match obj["kind"]:
            case "ReplicaSet" if hash_ := meta.labels(obj).get(keys.HASH):
                image = obj["spec"]["template"]["spec"]["containers"][0]["image"]
                self._versions[hash_] = image.rpartition(":")[2]
            case "VirtualService" if name == self._lane.name:
                self._route.saw(meta.generation(obj), _destinations(obj), _accepted(obj), now)
            case "Service" if name.startswith(self._lane.name):
                there = frozenset(filter(None, [obj["spec"]["selector"].get(keys.HASH)]))
                course = self._services.setdefault(name, Course())
                course.saw(meta.generation(obj), there, _accepted(obj), now)
        return self._note(now)

    def _note(self, now: float) -> bool:
        doors = [self._services[name] for name in self._route.leads if name in self._services]
        hashes = frozenset().union(*(door.leads for door in doors))
        versions = frozenset(self._versions.get(hash_, "") for hash_ in hashes)
        if self._sets and self._sets[-1] == versions:
            return False
        self._times.append(now)
        self._sets.append(versions)
        return True

    @property
    def now(self) -> frozenset[str]:
        return self._sets[-1] if self._sets else frozenset()

    def between(self, start: float, end: float) -> frozenset[str]:
        first = max(0, bisect.bisect_right(self._times, start) - 1)
        last = max(first + 1, bisect.bisect_right(self._times, end))
        return frozenset().union(*self._sets[first:last])

    def next_with(self, version: str, after: float) -> float:
        """When that version is allowed next."""
        first = bisect.bisect_right(self._times, after)
        return next(at for at, there in zip(self._times[first:], self._sets[first:], strict=True) if version in there)

    @property
    def switches(self) -> list[float]:
        """Seconds from each written route or selector to its acceptance by every node."""
        return [took for course in (self._route, *self._services.values()) for took in course.switches]


def _destinations(route: Object) -> frozenset[str]:
    sides = route["spec"]["http"][0]["route"]
    return frozenset(side["destination"]["host"] for side in sides if side.get("weight", 100))


def _accepted(obj: Object) -> int:
    found = conditions.find(obj, PROGRAMMED[obj["kind"]]) or {}
    return int(found.get("observedGeneration") or 0) if found.get("status") == "True" else 0
