"""Why a Rollout stands where it stands: the unmet predicates of its next pass, in the order in which they matter.

The pass is the controller's own, so what is printed is what it waits for, not a guess about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dabbawala.apimachinery import clock
from dabbawala.apimachinery.meta import Object
from dabbawala.reconcile.plan import Create, Delete, Evict, Patch, Record, Update
from dabbawala.rollout import phases, plan
from dabbawala.rollout.draft import Blocker
from dabbawala.rollout.observed import Observed


@dataclass(frozen=True, slots=True)
class Explanation:
    """`acts` is what the next pass would write: empty when it only waits."""

    phase: str
    message: str
    waits: tuple[Blocker, ...]
    acts: tuple[str, ...]

    @property
    def is_settled(self) -> bool:
        return self.phase == phases.HEALTHY and not self.acts


def explain(rollout: Object, observed: Observed, now: datetime) -> Explanation:
    draft = plan.decide(rollout, observed, now)
    phase, message = phases.seen_by_client(rollout) if rollout.get("status") else (phases.PROGRESSING, "not seen yet")
    unique = {(item.reason, item.message): item for item in draft.blockers}
    return Explanation(phase, message, tuple(unique.values()), tuple(_lines(draft.finish().actions)))


def _lines(actions: tuple[object, ...]) -> list[str]:
    found = []
    for action in actions:
        match action:
            case Create(kind=kind, object=obj):
                found.append(f"create {kind.kind} {obj['metadata'].get('name', '')}")
            case Patch(kind=kind, key=key, subresource=part):
                found.append(f"patch {kind.kind} {key}{'/' + part if part else ''}")
            case Delete(kind=kind, key=key):
                found.append(f"delete {kind.kind} {key}")
            case Evict(key=key):
                found.append(f"evict Pod {key}")
            case Update(kind=kind):
                found.append(f"update {kind.kind}")
            case Record(reason=reason, message=message):
                found.append(f"event {reason}: {message}")
    return found


def until(blocker: Blocker) -> str:
    return f" (until {clock.format_time(blocker.until)})" if blocker.until is not None else ""
