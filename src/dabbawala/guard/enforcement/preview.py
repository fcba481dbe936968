"""What the last stage would refuse, of what is there already: every live object, as if somebody wrote it again today.

The very policies that would be installed are asked, conditions, bindings, exceptions and parameters included, by the
engine that admission uses; so what is listed here is what would be refused, no more and no less. What a workload made
(ReplicaSets, pods) is not written by anybody, and judged where it came from. What is being deleted is left out. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from dabbawala.api import core_v1
from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.guard import engine, requests
from dabbawala.guard.checks import Check
from dabbawala.guard.enforcement import bundle
from dabbawala.guard.enforcement.bundle import Staged, Terms
from dabbawala.guard.enforcement.stages import Stage
from dabbawala.guard.findings import Subject
from dabbawala.guard.inventory import Inventory
from dabbawala.guard.resources import Resource
from dabbawala.policy.admission import CompiledPolicy
from dabbawala.policy.bindings import CompiledBinding
from dabbawala.policy.enforcement import PolicySet, World
from dabbawala.policy.matching import Request

NAMES_MAX = 3
"""Names that a line of the preview shows."""
_SET_BY_SERVER = ("uid", "resourceVersion", "generation", "managedFields", "selfLink")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A live object that a check would refuse if it was written again."""

    check: Check
    subject: Subject
    message: str


@dataclass(slots=True)
class Preview:
    """`judged` counts objects."""

    refusals: list[Refusal] = field(default_factory=list)
    judged: int = 0

    def by_place(self) -> Mapping[tuple[str, str], list[Refusal]]:
        """By check and namespace, in the order of the checks that refuse most."""
        counts = Counter(item.check.id for item in self.refusals)
        found: dict[tuple[str, str], list[Refusal]] = {}
        for item in sorted(self.refusals, key=lambda item: (-counts[item.check.id], item.check.id, item.subject)):
            found.setdefault((item.check.id, item.subject.namespace), []).append(item)
        return found


class Rehearsal:
    """The policies in their last stage, not installed, but asked."""

    def __init__(self, asked: Sequence[Check], terms: Terms, *, now: datetime) -> None:
        self._checks = {check.name: check for check in asked}
        self._now = now
        documents = bundle.documents([Staged(check, Stage.DENY) for check in asked], terms)
        kinds: dict[str, list[Object]] = {}
        for obj in documents:
            kinds.setdefault(obj["kind"], []).append(obj)
        self._policies = PolicySet(
            map(CompiledPolicy.of, kinds.get(bundle.POLICY.kind, ())),
            map(CompiledBinding.of, kinds.get(bundle.BINDING.kind, ())),
        )
        self._parameters = _Given(kinds.get(core_v1.CONFIG_MAP.kind, ()))

    def over(self, inventory: Inventory, namespaces: Mapping[str, Object]) -> Preview:
        """All objects of an inventory, but for the Secrets, whose values are not there any more: see `refusals`."""
        found = Preview()
        for item in inventory:
            if item.kind == core_v1.SECRET.kind and not item.group:
                continue
            found.judged += 1
            if inventory.owner(item) is None:
                found.refusals += self.refusals(item.object, item.resource, namespaces)
        return found

    def refusals(self, obj: Object, resource: Resource, namespaces: Mapping[str, Object]) -> Iterator[Refusal]:
        """Of one object; `namespaces` by name."""
        if meta.is_deleting(obj):
            return
        request = written_anew(obj, resource, self._now)
        if not self._policies.about(request):
            return
        world = World(self._parameters, namespaces.get(request.namespace))
        subject = engine.subject_of(obj)
        for denial in self._policies.enforce(request, world).denials:
            yield Refusal(self._checks[denial.policy], subject, denial.message)


def written_anew(obj: Object, resource: Resource, now: datetime) -> Request:
    """The request that would create a stored object at an instant."""
    metadata = {name: value for name, value in meta.metadata(obj).items() if name not in _SET_BY_SERVER}
    metadata["creationTimestamp"] = clock.format_time(now)
    plain = {name: value for name, value in obj.items() if name != "status"}
    return requests.creating({**plain, "metadata": metadata}, resource)


class _Given:
    """Parameters that are not in a cluster yet. Only ConfigMaps are."""

    def __init__(self, config_maps: Iterable[Object]) -> None:
        self._known = {meta.key(obj): obj for obj in config_maps}

    def is_namespaced(self, api_version: str, kind: str) -> bool | None:
        return True if (api_version, kind) == ("v1", core_v1.CONFIG_MAP.kind) else None

    def one(self, api_version: str, kind: str, key: ObjectKey) -> Object | None:
        return self._known.get(key)

    def all(self, api_version: str, kind: str, namespace: str) -> Iterable[Object]:
        return [obj for key, obj in self._known.items() if key.namespace == namespace]
