"""A cluster small enough to hold in one's head: what the planner writes, and how pods, Services, routes and analyses
answer, on virtual time.

It knows nothing of rollouts: objects, ReplicaSets that make pods, Services that find them, a data plane that accepts
routes a moment later, analyses that pass after their time. `rehearsal` plays a Rollout on it, so that a plan can be
shown before anything happens; the planner is the production one.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dabbawala.api import apps_v1, argoproj_v1alpha1, core_v1, istio_networking_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery import patch as patching
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.reconcile.plan import Action, Create, Delete, Evict, Patch, Record, Update
from dabbawala.rollout import keys, spec
from dabbawala.rollout.analysis import plan as runs
from dabbawala.rollout.analysis import verdict

SERVICE_LAG = timedelta(seconds=1)
"""From a pod's readiness or a selector's change to the data plane."""


@dataclass(frozen=True, slots=True)
class Actor:
    """One simulated pod: its name, and when it is ready."""

    name: str
    ready_at: datetime


@dataclass(slots=True)
class Stage:
    """`pod_seconds` is how long a new pod takes to be available. Analyses pass, except those whose names end with one
    of `failing`."""

    now: datetime
    pod_seconds: float = 10.0
    failing: frozenset[str] = frozenset()
    objects: dict[str, dict[ObjectKey, Object]] = field(default_factory=dict)
    pods: dict[ObjectKey, list[Actor]] = field(default_factory=dict)
    events: list[Record] = field(default_factory=list)
    _accepted: dict[tuple[str, ObjectKey], datetime] = field(default_factory=dict)
    _versions: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    # Objects.

    def put(self, kind: Kind, obj: Object) -> Object:
        """Store an object as the API server would: a version, a uid, and a generation that counts spec changes."""
        key = meta.key(obj)
        old = self.objects.get(kind.resource, {}).get(key)
        metadata = {**obj["metadata"], "resourceVersion": str(next(self._versions))}
        metadata.setdefault("uid", f"uid-{kind.plural}-{key}")
        metadata.setdefault("creationTimestamp", clock.format_time(self.now))
        changed = old is not None and old.get("spec") != obj.get("spec")
        metadata["generation"] = (meta.generation(old) if old else 0) + (1 if changed or old is None else 0)
        stored = {"apiVersion": kind.api_version, "kind": kind.kind, **obj, "metadata": metadata}
        self.objects.setdefault(kind.resource, {})[key] = stored
        if kind.plural in ("services", "virtualservices", "destinationrules") and (changed or old is None):
            self._accepted[(kind.resource, key)] = self.now + SERVICE_LAG
        return stored

    def get(self, kind: Kind, key: ObjectKey) -> Object | None:
        return self.objects.get(kind.resource, {}).get(key)

    def all(self, kind: Kind) -> list[Object]:
        return list(self.objects.get(kind.resource, {}).values())

    def act(self, action: Action) -> None:
        """Carry out one action. Raises AssertionError for a patch of a version that was not the last one."""
        match action:
            case Create():
                if self.get(action.kind, meta.key(action.object)) is None:
                    self.put(action.kind, action.object)
            case Patch():
                self._patch(action)
            case Update():
                self.put(action.kind, action.object)
            case Delete():
                self.objects.get(action.kind.resource, {}).pop(action.key, None)
            case Evict():
                self._evict(action.key)
            case Record():
                self.events.append(action)

    def _patch(self, action: Patch) -> None:
        current = self.get(action.kind, action.key)
        assert current is not None, f"{action.key} is not there"
        if action.resource_version:
            assert action.resource_version == meta.resource_version(current), f"{action.key} was read too early"
        self.put(action.kind, patching.merge_patch(current, action.body))

    def _evict(self, key: ObjectKey) -> None:
        for owner, actors in self.pods.items():
            if any(actor.name == key.name for actor in actors) and owner.namespace == key.namespace:
                fresh = Actor(f"{owner.name}-{next(self._versions):05d}", self._ready_at())
                self.pods[owner] = [fresh if actor.name == key.name else actor for actor in actors]

    # How the cluster answers.

    def settle(self) -> None:
        """Let pods, ReplicaSets, analyses and the data plane be as they are at `now`."""
        for replica_set in self.all(apps_v1.REPLICA_SET):
            self._staff(replica_set)
            self._count(apps_v1.REPLICA_SET, replica_set)
        for run in self.all(argoproj_v1alpha1.ANALYSIS_RUN):
            self._judge(run)
        for kind, name in (
            (istio_networking_v1.VIRTUAL_SERVICE, keys.PROGRAMMED),
            (istio_networking_v1.DESTINATION_RULE, keys.PROGRAMMED),
            (core_v1.SERVICE, keys.SERVICE_PROGRAMMED),
        ):
            for obj in self.all(kind):
                self._accept(kind, obj, name)

    def _ready_at(self) -> datetime:
        return self.now + timedelta(seconds=self.pod_seconds)

    def _staff(self, replica_set: Object) -> None:
        """As many pods as asked for; the youngest leave first."""
        key, wanted = meta.key(replica_set), int(replica_set["spec"].get("replicas") or 0)
        actors = self.pods.setdefault(key, [])
        while len(actors) < wanted:
            actors.append(Actor(f"{key.name}-{next(self._versions):05d}", self._ready_at()))
        del actors[wanted:]

    def _count(self, kind: Kind, replica_set: Object) -> None:
        actors = self.pods[meta.key(replica_set)]
        ready = sum(actor.ready_at <= self.now for actor in actors)
        status = {"replicas": len(actors), "readyReplicas": ready, "availableReplicas": ready}
        if replica_set.get("status") != status:
            self.put(kind, {**replica_set, "status": status})

    def _judge(self, run: Object) -> None:
        status = run.get("status") or {}
        if status.get("completedAt"):
            return
        started = clock.parse_time(str(meta.metadata(run)["creationTimestamp"]))
        lasts = run_duration(run)
        ended = run["spec"].get("terminate") or (lasts is not None and self.now >= started + lasts)
        bad = any(meta.name(run).endswith(name) for name in self.failing)
        phase = ("Failed" if bad and not run["spec"].get("terminate") else "Successful") if ended else "Running"
        fresh: Object = {"phase": phase} | ({"completedAt": clock.format_time(self.now)} if ended else {})
        if status != fresh:
            self.put(argoproj_v1alpha1.ANALYSIS_RUN, {**run, "status": fresh})

    def _accept(self, kind: Kind, obj: Object, type_: str) -> None:
        due = self._accepted.get((kind.resource, meta.key(obj)))
        if due is None or due > self.now:
            return
        condition = {"type": type_, "status": "True", "reason": "Accepted", "observedGeneration": meta.generation(obj)}
        status = {"conditions": [condition], "observedGeneration": meta.generation(obj)}
        if obj.get("status") != status:
            self.put(kind, {**obj, "status": status})

    def slices(self, service: Object) -> tuple[Object, ...]:
        """The EndpointSlice of a Service: the ready pods of the sets whose labels its selector matches."""
        wanted = (service.get("spec") or {}).get("selector") or {}
        endpoints = [
            {"conditions": {"ready": True}, "targetRef": {"kind": "Pod", "name": actor.name}}
            for replica_set in self.all(apps_v1.REPLICA_SET)
            if wanted and wanted.items() <= (replica_set["spec"]["template"]["metadata"].get("labels") or {}).items()
            for actor in self.pods.get(meta.key(replica_set), ())
            if actor.ready_at + SERVICE_LAG <= self.now
        ]
        return ({"metadata": {"labels": {keys.SLICE_SERVICE: meta.name(service)}}, "endpoints": endpoints},)

    def next_change(self) -> datetime | None:
        """When the cluster will next be different by itself."""
        moments = [actor.ready_at for actors in self.pods.values() for actor in actors]
        moments += [moment + SERVICE_LAG for moment in moments]
        moments += self._accepted.values()
        for run in self.all(argoproj_v1alpha1.ANALYSIS_RUN):
            lasts = run_duration(run)
            if not (run.get("status") or {}).get("completedAt") and lasts is not None:
                moments.append(clock.parse_time(str(meta.metadata(run)["creationTimestamp"])) + lasts)
        return min((moment for moment in moments if moment > self.now), default=None)

    def ready(self, replica_set: Object) -> int:
        return sum(actor.ready_at <= self.now for actor in self.pods.get(meta.key(replica_set), ()))


def run_duration(run: Object) -> timedelta | None:
    """How long an analysis whose every measurement succeeds takes; None when it runs until it is terminated."""
    longest = 0.0
    for metric in runs.metrics(run):
        count = verdict.effective_count(metric)
        if count is None:
            return None
        spread = spec.seconds(metric.get("interval") or 0) * max(count - 1, 0)
        longest = max(longest, spec.seconds(metric.get("initialDelay") or 0) + spread)
    return timedelta(seconds=longest)
