"""From what a cluster should enforce and what it does to the writes in between. Pure.

wanted, not there                  ->  create
there, ours, says something else   ->  update: an older release, other exceptions, another stage, another's hand
there, ours, as wanted             ->  unchanged
there, not ours                    ->  a conflict; nothing is written then
ours, no check of this release     ->  remove, when all checks are wanted
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from dabbawala.api import core_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.guard.checks import Check
from dabbawala.guard.enforcement import bundle, stages
from dabbawala.guard.enforcement.bundle import BINDING, POLICY
from dabbawala.guard.enforcement.stages import Stage

KINDS: Mapping[str, Kind] = {kind.kind: kind for kind in (POLICY, BINDING, core_v1.CONFIG_MAP)}
Key = tuple[str, str]


class Act(StrEnum):
    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"
    REMOVE = "remove"


class Step(NamedTuple):
    act: Act
    object: Object

    @property
    def kind(self) -> Kind:
        return KINDS[self.object["kind"]]

    def __str__(self) -> str:
        return f"{self.act} {self.object['kind']} {meta.name(self.object)}"


@dataclass(frozen=True, slots=True)
class Installed:
    """The policies, bindings and parameters of a cluster, whosever they are."""

    objects: Mapping[Key, Object] = field(default_factory=dict)

    @classmethod
    def of(cls, objects: Iterable[Object]) -> Installed:
        return cls({_key(obj): obj for obj in objects})

    def stage(self, check: Check) -> Stage | None:
        """How far a check is, if it is installed and bound."""
        bound = self.objects.get((BINDING.kind, check.name))
        policy = self.objects.get((POLICY.kind, check.name))
        if bound is None or policy is None or not bundle.is_ours(bound):
            return None
        return stages.of_actions(bound["spec"].get("validationActions") or ())

    def next_stage(self, check: Check) -> Stage:
        now = self.stage(check)
        return Stage.AUDIT if now is None else now.next

    def ours(self) -> Iterator[Object]:
        return (obj for obj in self.objects.values() if bundle.is_ours(obj))


@dataclass(frozen=True, slots=True)
class Plan:
    """`conflicts` are objects that somebody else has under a name that we need."""

    steps: tuple[Step, ...]
    conflicts: tuple[Object, ...] = ()

    @property
    def changes(self) -> list[Step]:
        return [step for step in self.steps if step.act is not Act.UNCHANGED]


def install(wanted: Sequence[Object], installed: Installed, *, all_checks: bool) -> Plan:
    """`all_checks` says that `wanted` is all that this release has, so that what else is ours is of another one."""
    steps = [_step(obj, installed.objects.get(_key(obj))) for obj in wanted]
    if all_checks:
        needed = {_key(obj) for obj in wanted}
        left = [obj for obj in installed.ours() if _key(obj) not in needed]
        steps += [Step(Act.REMOVE, obj) for obj in bundle.ordered(left)]
    theirs = (installed.objects.get(_key(obj)) for obj in wanted)
    return Plan(tuple(steps), tuple(obj for obj in theirs if obj is not None and not bundle.is_ours(obj)))


def remove(checks: Iterable[Check], installed: Installed, *, all_checks: bool) -> Plan:
    """Take back what we installed, and nothing else."""
    names = {check.name for check in checks}
    ours = [obj for obj in installed.ours() if all_checks or meta.name(obj) in names]
    return Plan(tuple(Step(Act.REMOVE, obj) for obj in bundle.ordered(ours)))


def _step(obj: Object, there: Object | None) -> Step:
    if there is None:
        return Step(Act.CREATE, obj)
    kind = KINDS[obj["kind"]]
    said = meta.labels(obj)[bundle.HASH]
    same = bundle.fingerprint(kind, there) == said == meta.labels(there).get(bundle.HASH)
    told = meta.annotations(obj).items() <= meta.annotations(there).items()
    return Step(Act.UNCHANGED if same and told else Act.UPDATE, obj)


def _key(obj: Object) -> Key:
    return obj["kind"], meta.name(obj)
