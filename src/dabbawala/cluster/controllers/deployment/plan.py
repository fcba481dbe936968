"""Deployment: one turn, from what is observed to what is to be done.

The turn first finds the ReplicaSet of the current template, or makes it; then it resizes after a change of
`spec.replicas`, or takes one step of the strategy; then it reports. Each turn takes one step and waits to see it.
Source: pkg/controller/deployment in Kubernetes 1.37.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dabbawala.api import apps_v1
from dabbawala.apimachinery import meta, selectors
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.controllers.deployment import progress, revisions, scaling
from dabbawala.reconcile import ownership, pods
from dabbawala.reconcile.plan import Action, Create, Patch, Plan, Record, status_change


@dataclass(frozen=True, slots=True)
class Observed:
    """ReplicaSets that are owned or selected, pods by the uid of their set, and whatever carries the name that the
    next set would get."""

    sets: Sequence[Object]
    pods: Mapping[str, Sequence[Object]]
    namesake: Object | None = None


@dataclass(frozen=True, slots=True)
class _Turn:
    deployment: Object
    new: Object | None
    old: Sequence[Object]
    now: datetime

    @property
    def sets(self) -> list[Object]:
        return [*self.old, *([self.new] if self.new is not None else [])]


def plan(desired: Object, observed: Observed, now: datetime) -> Plan:
    selector = selectors.from_label_selector(desired["spec"].get("selector"))
    if selector.everything:
        text = "This deployment is selecting all pods. A non-empty selector is required."
        return Plan((Record(desired, "SelectingAll", text, "Warning"),))
    claims = ownership.claim(desired, selector, apps_v1.REPLICA_SET, observed.sets)
    new = revisions.current(desired, claims.owned)
    old = [item for item in claims.owned if item is not new]
    turn = _Turn(desired, new, old, now)
    if meta.is_deleting(desired):
        return Plan((*claims.patches, *_plain_status(turn)))
    return _with(claims.patches, _turn(turn, observed))


def _with(first: tuple[Patch, ...], rest: Plan) -> Plan:
    return Plan((*first, *rest.actions), rest.requeue_after)


def _turn(turn: _Turn, observed: Observed) -> Plan:
    deployment = turn.deployment
    changed = progress.paused(deployment, turn.now)
    if changed is not None:
        return Plan(status_change(apps_v1.DEPLOYMENT, deployment, {"conditions": changed}))
    if deployment["spec"].get("paused") or scaling.is_scaling(deployment, turn.sets):
        return _resize(turn)
    if (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
        return _recreate(turn, observed)
    return _rolling(turn, observed)


def _resize(turn: _Turn) -> Plan:
    """Paused, or `spec.replicas` changed: sizes only, no step towards the current template."""
    revision = _revision(turn) if turn.new is not None else ()
    sizes = scaling.resize(turn.deployment, turn.new, turn.old)
    forgotten = revisions.forget(turn.deployment, turn.old) if turn.deployment["spec"].get("paused") else ()
    return Plan((*revision, *_write(turn.deployment, sizes), *forgotten, *_plain_status(turn)))


def _rolling(turn: _Turn, observed: Observed) -> Plan:
    if turn.new is None:
        return _make(turn, observed, rolling=True)
    limits = scaling.bounds(turn.deployment)
    growth = scaling.grow_new(limits, turn.new, turn.old)
    sizes = [growth] if growth is not None else scaling.shrink_old(limits, turn.new, turn.old)
    return _report(turn, (*_revision(turn), *_write(turn.deployment, sizes)))


def _recreate(turn: _Turn, observed: Observed) -> Plan:
    """All old pods must be gone, not just going, before the first new one is made."""
    emptied = [scaling.Size(item, 0) for item in turn.old if scaling.size(item) > 0]
    revision = _revision(turn) if turn.new is not None else ()
    running = not all(map(revisions.is_empty, turn.old)) or any(
        not pods.is_finished(pod) for item in turn.old for pod in observed.pods.get(meta.uid(item), ())
    )
    if emptied or running:
        return _report(turn, (*revision, *_write(turn.deployment, emptied)))
    if turn.new is None:
        return _make(turn, observed, rolling=False)
    wanted = revisions.wanted(turn.deployment)
    sizes = [scaling.Size(turn.new, wanted)] if scaling.size(turn.new) != wanted else []
    return _report(turn, (*revision, *_write(turn.deployment, sizes)))


def _make(turn: _Turn, observed: Observed, *, rolling: bool) -> Plan:
    """Create the set of the current template, under another hash when its name is taken."""
    deployment, limits = turn.deployment, scaling.bounds(turn.deployment)
    if revisions.taken(deployment, observed.namesake):
        collisions = int((deployment.get("status") or {}).get("collisionCount") or 0) + 1
        return Plan(status_change(apps_v1.DEPLOYMENT, deployment, {"collisionCount": collisions}))
    revision = revisions.next_number(turn.old)
    size = scaling.first_size(limits, turn.old, rolling=rolling)
    made = revisions.new_set(deployment, replicas=size, revision=revision, maximum=limits.most)
    text = f'Created new replica set "{meta.name(made)}"'
    status = {**progress.counts(deployment, None, turn.old), "conditions": _created(turn, text)}
    return Plan(
        (
            Create(apps_v1.REPLICA_SET, made),
            *((_scaled(deployment, made, 0, size),) if size else ()),
            *revisions.annotate(deployment, revision),
            *status_change(apps_v1.DEPLOYMENT, deployment, status),
        )
    )


def _created(turn: _Turn, text: str) -> list[Object]:
    return progress.announced(turn.deployment, progress.NEW_CREATED, text, turn.now)


def _revision(turn: _Turn) -> tuple[Action, ...]:
    assert turn.new is not None, "only the current set has a revision to be kept right"
    return revisions.sync_current(turn.deployment, turn.new, revisions.next_number(turn.old))


def _write(deployment: Object, sizes: Sequence[scaling.Size]) -> tuple[Action, ...]:
    """The new sizes with the annotations that proportional scaling reads later, and an event for each change.
    Refused when the set has changed since it was read."""
    maximum = scaling.bounds(deployment).most
    notes = {revisions.DESIRED: str(revisions.wanted(deployment)), revisions.MAXIMUM: str(maximum)}
    actions: list[Action] = []
    for item, replicas in sizes:
        has = scaling.size(item)
        if has == replicas and notes.items() <= meta.annotations(item).items():
            continue
        body = {"metadata": {"annotations": notes}, "spec": {"replicas": replicas}}
        actions.append(Patch(apps_v1.REPLICA_SET, meta.key(item), body, resource_version=meta.resource_version(item)))
        if has != replicas:
            actions.append(_scaled(deployment, item, has, replicas))
    return tuple(actions)


def _scaled(deployment: Object, item: Object, before: int, after: int) -> Record:
    direction = "up" if after > before else "down"
    text = f"Scaled {direction} replica set {meta.name(item)} from {before} to {after}"
    return Record(deployment, "ScalingReplicaSet", text)


def _report(turn: _Turn, actions: tuple[Action, ...]) -> Plan:
    status = progress.counts(turn.deployment, turn.new, turn.sets)
    found = progress.judged(turn.deployment, turn.new, turn.sets, status, turn.now)
    finished = progress.is_complete(turn.deployment, status)
    forgotten = revisions.forget(turn.deployment, turn.old) if finished else ()
    changes = status_change(apps_v1.DEPLOYMENT, turn.deployment, {**status, "conditions": found})
    return Plan((*actions, *forgotten, *changes), progress.next_check(turn.deployment, found, turn.now))


def _plain_status(turn: _Turn) -> tuple[Action, ...]:
    """Counts and availability; progress is not judged while nothing rolls."""
    status = progress.counts(turn.deployment, turn.new, turn.sets)
    found = progress.available(turn.deployment, status, turn.now)
    return status_change(apps_v1.DEPLOYMENT, turn.deployment, {**status, "conditions": found})
