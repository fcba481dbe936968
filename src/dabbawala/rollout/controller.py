"""Rollouts: reads caches, plans, hands the plan to the shared loop. All thinking is in `plan`."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from dabbawala.api import apps_v1, argoproj_v1alpha1, core_v1, discovery_v1, istio_networking_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta, selectors
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.status import AlreadyExists, StatusError
from dabbawala.reconcile.cache import Caches
from dabbawala.reconcile.controller import Watch, controller_owner
from dabbawala.reconcile.plan import Plan, Record, patch_status
from dabbawala.rollout import acceptance, keys, metadata, ownership, plan, reasons, references, spec, state, traffic
from dabbawala.rollout.metrics import Metrics
from dabbawala.rollout.observed import Observed

log = logging.getLogger("dabbawala.rollout")

ROLLOUT = argoproj_v1alpha1.ROLLOUT


class RolloutController:
    """`instance_id` is the label value of the Rollouts that are ours; `istio` whether the cluster has those kinds. With
    a `clock` the time that planning takes is measured."""

    name = "rollout"
    kind = ROLLOUT

    def __init__(
        self,
        *,
        instance_id: str = "",
        istio: bool = True,
        metrics: Metrics | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._instance = instance_id
        self._istio = istio
        self.metrics = metrics or Metrics()
        self._clock = clock
        routed = (istio_networking_v1.VIRTUAL_SERVICE, istio_networking_v1.DESTINATION_RULE) if istio else ()
        self.watches = (
            Watch(apps_v1.REPLICA_SET, _made_or_referred),
            Watch(argoproj_v1alpha1.ANALYSIS_RUN, controller_owner(ROLLOUT)),
            Watch(core_v1.SERVICE, self._naming_service),
            Watch(discovery_v1.ENDPOINT_SLICE, self._naming_slice),
            Watch(argoproj_v1alpha1.ANALYSIS_TEMPLATE, _judged),
            Watch(argoproj_v1alpha1.CLUSTER_ANALYSIS_TEMPLATE, _judged),
            Watch(apps_v1.DEPLOYMENT, _deployed),
            Watch(core_v1.POD, _told_by_its_owner),
            *(Watch(kind, _routed) for kind in routed),
        )

    async def reconcile(self, key: ObjectKey, caches: Caches, now: datetime) -> Plan:
        rollout = caches.get(ROLLOUT, key)
        if rollout is None:
            self.metrics.forget(key)
            return Plan()
        if not ownership.is_ours(rollout, self._instance):
            return Plan()
        began = self._clock.monotonic() if self._clock is not None else None
        world = self.observe(rollout, caches)
        made = plan.plan(rollout, world, now)
        if began is not None and self._clock is not None:
            self.metrics.took(key, self._clock.monotonic() - began)
        if world.claimed_by:
            log.warning("%s: %s", key, world.claimed_by)
        self.metrics.planned(key, made)
        return made

    def report(self, key: ObjectKey, caches: Caches, refused: StatusError, now: datetime) -> Plan:
        """The API refused something: a name that is taken mints another hash; all else is said on the Rollout."""
        self.metrics.failed(key)
        rollout = caches.get(ROLLOUT, key)
        if rollout is None:
            return Plan()
        if isinstance(refused, AlreadyExists):
            return Plan((patch_status(ROLLOUT, key, {"collisionCount": state.collision_count(rollout) + 1}),))
        return Plan((Record(rollout, reasons.REFUSED, refused.message, "Warning"),))

    def observe(self, rollout: Object, caches: Caches) -> Observed:
        """One observation of everything that this Rollout's plan may look at."""
        space = meta.namespace(rollout)
        names = self._services(rollout, caches)
        services = {name: caches.get(core_v1.SERVICE, ObjectKey(space, name)) for name in names}
        return Observed(
            replica_sets=tuple(caches.owned_by(apps_v1.REPLICA_SET, meta.uid(rollout))),
            orphans=self._orphans(rollout, caches),
            services={name: found for name, found in services.items() if found is not None},
            slices={
                name: tuple(caches.list(discovery_v1.ENDPOINT_SLICE, space, {keys.SLICE_SERVICE: name}))
                for name in names
            },
            templates=_templates(rollout, caches),
            analysis_runs=tuple(caches.owned_by(argoproj_v1alpha1.ANALYSIS_RUN, meta.uid(rollout))),
            pods=self._pods(rollout, caches),
            workload=_workload(rollout, caches),
            claimed_by=ownership.claimed_by(rollout, caches.list(apps_v1.DEPLOYMENT), self._instance),
            **self._routes(rollout, caches),
        )

    def _naming_service(self, service: Object, caches: Caches) -> Iterable[ObjectKey]:
        return self._using(meta.name(service), service, caches)

    def _naming_slice(self, piece: Object, caches: Caches) -> Iterable[ObjectKey]:
        return self._using(meta.labels(piece).get(keys.SLICE_SERVICE, ""), piece, caches)

    def _using(self, name: str, obj: Object, caches: Caches) -> Iterable[ObjectKey]:
        """The Rollouts of the object's namespace whose traffic comes through the Service of that name."""
        for item in _of_namespace(obj, caches):
            if name in self._services(item, caches):
                yield meta.key(item)

    def _services(self, rollout: Object, caches: Caches) -> set[str]:
        """The Services that the Rollout names, and the one whose endpoints its subsets divide."""
        named = set(spec.services(rollout).values())
        key = traffic.destination_rule(rollout) if self._istio else None
        rule = caches.get(istio_networking_v1.DESTINATION_RULE, key) if key is not None else None
        if rule is not None and meta.namespace(rule) == meta.namespace(rollout):
            named.add(traffic.split_service(rule))
        return named - {""}

    def _routes(self, rollout: Object, caches: Caches) -> dict[str, dict[ObjectKey, Object]]:
        if not self._istio:
            return {}
        wanted = {reference.key for reference in traffic.references(rollout)}
        rule = traffic.destination_rule(rollout)
        routes = {key: caches.get(istio_networking_v1.VIRTUAL_SERVICE, key) for key in wanted}
        rules = {key: caches.get(istio_networking_v1.DESTINATION_RULE, key) for key in ([rule] if rule else [])}
        return {
            "virtual_services": {key: found for key, found in routes.items() if found is not None},
            "destination_rules": {key: found for key, found in rules.items() if found is not None},
        }

    def _orphans(self, rollout: Object, caches: Caches) -> tuple[Object, ...]:
        if meta.is_deleting(rollout):
            return ()
        try:
            selector = selectors.from_label_selector((rollout.get("spec") or {}).get("selector"))
        except StatusError:
            return ()
        if selector.everything or selector.nothing:
            return ()
        found = caches.list(apps_v1.REPLICA_SET, meta.namespace(rollout), selector)
        return tuple(
            item
            for item in found
            if meta.controller_of(item) is None and not meta.is_deleting(item) and keys.HASH in meta.labels(item)
        )

    def _pods(self, rollout: Object, caches: Caches) -> tuple[Object, ...]:
        """Only when their own age or metadata is in question, or their names do not tell whose they are."""
        owned = caches.owned_by(apps_v1.REPLICA_SET, meta.uid(rollout))
        asked = (rollout.get("spec") or {}).get("restartAt") or metadata.used(rollout)
        if not asked and not any(acceptance.is_cut(meta.name(item)) for item in owned):
            return ()
        return tuple(pod for item in owned for pod in caches.owned_by(core_v1.POD, meta.uid(item)))


def _templates(rollout: Object, caches: Caches) -> dict[tuple[str, str], Object]:
    """Every template that the Rollout's analyses name, and those that they name."""
    found: dict[tuple[str, str], Object] = {}
    waiting = [ref for _, analysis, _ in references.analyses(rollout) for ref in analysis.get("templates") or ()]
    while waiting:
        reference = waiting.pop()
        cluster, name = bool(reference.get("clusterScope")), str(reference.get("templateName", ""))
        kind = argoproj_v1alpha1.CLUSTER_ANALYSIS_TEMPLATE if cluster else argoproj_v1alpha1.ANALYSIS_TEMPLATE
        template = caches.get(kind, ObjectKey("" if cluster else meta.namespace(rollout), name))
        if template is not None and (kind.kind, name) not in found:
            found[kind.kind, name] = template
            waiting += (template.get("spec") or {}).get("templates") or ()
    return found


def _workload(rollout: Object, caches: Caches) -> Object | None:
    reference = (rollout.get("spec") or {}).get("workloadRef") or {}
    kinds = {"Deployment": apps_v1.DEPLOYMENT, "ReplicaSet": apps_v1.REPLICA_SET}
    kind = kinds.get(str(reference.get("kind")))
    return caches.get(kind, ObjectKey(meta.namespace(rollout), str(reference.get("name")))) if kind else None


# Whose turn is it when something changes.


def _of_namespace(obj: Object, caches: Caches) -> Iterable[Object]:
    return caches.list(ROLLOUT, meta.namespace(obj) or None)


def _told_by_its_owner(pod: Object, caches: Caches) -> Iterable[ObjectKey]:
    """Endpoints may be seen before their pods, so pods that only their owner tells apart matter by themselves."""
    owner = meta.controller_of(pod) or {}
    if owner.get("kind") != apps_v1.REPLICA_SET.kind or not acceptance.is_cut(str(owner.get("name"))):
        return ()
    found = caches.get(apps_v1.REPLICA_SET, ObjectKey(meta.namespace(pod), str(owner["name"])))
    return controller_owner(ROLLOUT)(found, caches) if found is not None else ()


def _routed(route: Object, caches: Caches) -> Iterable[ObjectKey]:
    key = meta.key(route)
    for item in caches.list(ROLLOUT):
        if traffic.destination_rule(item) == key or any(found.key == key for found in traffic.references(item)):
            yield meta.key(item)


def _judged(template: Object, caches: Caches) -> Iterable[ObjectKey]:
    return [meta.key(item) for item in _of_namespace(template, caches) if any(references.analyses(item))]


def _made_or_referred(replica_set: Object, caches: Caches) -> Iterable[ObjectKey]:
    """The Rollout that made the ReplicaSet; of one that no Rollout made, those that refer to it."""
    made = list(controller_owner(ROLLOUT)(replica_set, caches))
    return made or _referring(apps_v1.REPLICA_SET, replica_set, caches)


def _deployed(deployment: Object, caches: Caches) -> Iterable[ObjectKey]:
    """Rollouts that refer to the Deployment; all of them when it is another Argo controller."""
    if ownership.is_argo(deployment):
        return [meta.key(item) for item in caches.list(ROLLOUT)]
    return _referring(apps_v1.DEPLOYMENT, deployment, caches)


def _referring(kind: Kind, workload: Object, caches: Caches) -> list[ObjectKey]:
    wanted = (kind.kind, meta.name(workload))
    references = ((item, (item.get("spec") or {}).get("workloadRef") or {}) for item in _of_namespace(workload, caches))
    return [meta.key(item) for item, found in references if (found.get("kind"), found.get("name")) == wanted]
