"""What a Rollout's decision may look at: one consistent observation, as values.

What is missing is absent from its map, never a lookup. The controller fills it from its caches, a test or a
simulation by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.rollout import keys, spec
from dabbawala.rollout.sets import Sets, classify

Templates = Mapping[tuple[str, str], Object]
"""(kind, name) -> AnalysisTemplate or ClusterAnalysisTemplate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """`replica_sets`, `analysis_runs` are those the Rollout controls; `orphans` ReplicaSets its selector matches
    that nobody controls. `slices` are EndpointSlices by Service. `pods` are read only when a restart, injected
    metadata or a name too long for theirs asks for them. `claimed_by` names another controller that owns the Rollout,
    or is empty."""

    replica_sets: tuple[Object, ...] = ()
    orphans: tuple[Object, ...] = ()
    services: Mapping[str, Object] = field(default_factory=dict)
    slices: Mapping[str, tuple[Object, ...]] = field(default_factory=dict)
    virtual_services: Mapping[ObjectKey, Object] = field(default_factory=dict)
    destination_rules: Mapping[ObjectKey, Object] = field(default_factory=dict)
    templates: Templates = field(default_factory=dict)
    analysis_runs: tuple[Object, ...] = ()
    pods: tuple[Object, ...] = ()
    workload: Object | None = None
    claimed_by: str = ""


@dataclass(frozen=True, slots=True)
class Situation:
    """A Rollout with its template resolved, its sets by role, and everything else observed, at one moment."""

    rollout: Object
    sets: Sets
    world: Observed
    now: datetime

    @property
    def key(self) -> ObjectKey:
        return meta.key(self.rollout)


def resolve(rollout: Object, world: Observed) -> Object:
    """The Rollout with the template (and selector) of the workload it refers to. Never written back."""
    if world.workload is None or not (rollout.get("spec") or {}).get("workloadRef"):
        return rollout
    body = world.workload.get("spec") or {}
    selector = rollout["spec"].get("selector") or body.get("selector")
    return {**rollout, "spec": {**rollout["spec"], "template": body.get("template") or {}, "selector": selector}}


def situate(rollout: Object, world: Observed, now: datetime) -> Situation:
    resolved = resolve(rollout, world)
    return Situation(resolved, classify(resolved, world.replica_sets), world, now)


def selector_hash(service: Object) -> str:
    """The hash a Service selects; empty for one that selects every revision."""
    return str(((service.get("spec") or {}).get("selector") or {}).get(keys.HASH, ""))


def service_named(situation: Situation, role: str) -> Object | None:
    """The Service in a role (active, preview, stable, canary) of the Rollout, when named and there."""
    name = spec.services(situation.rollout).get(role)
    return situation.world.services.get(name) if name else None
