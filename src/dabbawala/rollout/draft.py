"""A plan in the making: actions in order, the status to come, and why it does not go further.

One pass over a Rollout fills one draft. `blockers` are the unmet predicates of the pass, each with a reason, a
message for a person, and the moment when it may change by itself; `explain` prints them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dabbawala.api import apps_v1, argoproj_v1alpha1
from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery import patch as patching
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile.plan import Action, Evict, Patch, Plan, Record, patch_status
from dabbawala.rollout import keys, reasons, spec
from dabbawala.rollout.observed import Situation
from dabbawala.rollout.sets import Set

SOON = timedelta(milliseconds=20)
"""When a pass changed nothing but its own status and wants another look."""


@dataclass(frozen=True, slots=True)
class Blocker:
    """A predicate that is not met. `until` is when time alone may change that."""

    reason: str
    message: str
    until: datetime | None = None


class Draft:
    """`routed` is set when this pass wrote a Service or a route: nothing may shrink and no weight may move before
    the data plane has taken it in. `scaled` is set when a set changed size."""

    def __init__(self, situation: Situation) -> None:
        self.situation = situation
        self.actions: list[Action] = []
        self.status: Object = dict(situation.rollout.get("status") or {})
        self.blockers: list[Blocker] = []
        self.routed = False
        self.scaled = False
        self.abort_message = ""
        self._looks: list[datetime] = []

    def act(self, *actions: Action) -> None:
        self.actions.extend(actions)

    def event(self, reason: str, message: str, type_: str = "Normal") -> None:
        self.actions.append(Record(self.situation.rollout, reason, message, type_))

    def block(self, reason: str, message: str, until: datetime | None = None) -> None:
        self.blockers.append(Blocker(reason, message, until))
        if until is not None:
            self.look_at(until)

    def look_at(self, moment: datetime) -> None:
        self._looks.append(moment)

    def look_again(self) -> None:
        self._looks.append(self.situation.now + SOON)

    def put(self, part: str, **fields: Any) -> None:
        """Set fields of `status.canary` or `status.blueGreen`; None removes one."""
        merged = {**(self.status.get(part) or {}), **fields}
        self.status[part] = {name: value for name, value in merged.items() if value is not None}

    def scale(self, item: Set, count: int) -> None:
        """Change a set's size, and say so. Its annotation remembers the Rollout's size at that time."""
        rollout = self.situation.rollout
        annotations: Object = {keys.DESIRED_REPLICAS: str(spec.replicas(rollout))}
        if count == 0 and item.deadline is not None:
            annotations[keys.SCALE_DOWN_DEADLINE] = None
        body: Object = {"metadata": {"annotations": annotations}, "spec": {"replicas": count}}
        self.act(Patch(apps_v1.REPLICA_SET, meta.key(item.object), body, resource_version=self._version(item)))
        if count != item.spec:
            verb = "up" if count > item.spec else "down"
            text = f"Scaled {verb} ReplicaSet {item.name} (revision {item.revision}) from {item.spec} to {count}"
            self.event(reasons.SCALING, text)
        self.scaled = True

    def annotate(self, item: Set, **annotations: str | None) -> None:
        """Set annotations of a set by their field names' values; None removes one."""
        body: Object = {"metadata": {"annotations": annotations}}
        self.act(Patch(apps_v1.REPLICA_SET, meta.key(item.object), body, resource_version=self._version(item)))

    def give_deadline(self, item: Set, delay: timedelta) -> None:
        moment = self.situation.now + delay
        self.annotate(item, **{keys.SCALE_DOWN_DEADLINE: clock.format_time(moment)})
        self.look_at(moment)

    def _version(self, item: Set) -> str:
        """Only the first write to a set in a pass is bound to what was read; it speaks for the others."""
        key = meta.key(item.object)
        again = any(isinstance(action, Patch) and action.key == key for action in self.actions)
        return "" if again else meta.resource_version(item.object)

    def finish(self) -> Plan:
        """The plan: actions, then the status, then the events that tell of it; evictions come last, for a disruption
        budget may refuse them for hours, and nothing else may wait for that. A pass that writes the Rollout itself
        leaves the status to the next one: the status is written only over the Rollout that was read."""
        rollout = self.situation.rollout
        changed = patching.create_merge_patch(rollout.get("status") or {}, self.status)
        evictions = [action for action in self.actions if isinstance(action, Evict)]
        actions: Sequence[Action] = [action for action in self.actions if not isinstance(action, Evict)]
        if changed and not any(_writes_rollout(action) for action in actions):
            write = patch_status(
                argoproj_v1alpha1.ROLLOUT, meta.key(rollout), changed, resource_version=meta.resource_version(rollout)
            )
            actions = (*_before_events(actions), write, *_events(actions))
        return Plan((*actions, *evictions), self._requeue())

    def _requeue(self) -> timedelta | None:
        if not self._looks:
            return None
        return max(min(self._looks) - self.situation.now, SOON)


def _writes_rollout(action: Action) -> bool:
    return isinstance(action, Patch) and action.kind is argoproj_v1alpha1.ROLLOUT


def _before_events(actions: Sequence[Action]) -> list[Action]:
    """Everything up to the last write; what follows it are events about the status."""
    writes = [position for position, action in enumerate(actions) if not isinstance(action, Record)]
    return list(actions[: writes[-1] + 1]) if writes else []


def _events(actions: Sequence[Action]) -> list[Action]:
    return list(actions[len(_before_events(actions)) :])
