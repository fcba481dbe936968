"""Reads a budget, the pods it selects and the scale of their owners from the caches and plans for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from dabbawala.api import apps_v1, core_v1, policy_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta, selectors
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.cluster.controllers.disruption import plan as planning
from dabbawala.reconcile import pods
from dabbawala.reconcile.cache import Caches
from dabbawala.reconcile.controller import Watch
from dabbawala.reconcile.plan import Plan


class DisruptionController:
    """`scalable` are kinds with `spec.replicas` that own ReplicaSets or pods, such as Deployment and Rollout."""

    name = "disruption-controller"
    kind: Kind = policy_v1.POD_DISRUPTION_BUDGET

    def __init__(self, scalable: Sequence[Kind] = (apps_v1.DEPLOYMENT,)) -> None:
        self._scalable = (*scalable, apps_v1.REPLICA_SET)

    @property
    def watches(self) -> tuple[Watch, ...]:
        return (
            Watch(core_v1.POD, budgets_of_pod),
            *(Watch(kind, budgets_of_namespace) for kind in self._scalable),
        )

    async def reconcile(self, key: ObjectKey, caches: Caches, now: datetime) -> Plan:
        budget = caches.get(policy_v1.POD_DISRUPTION_BUDGET, key)
        if budget is None:
            return Plan()
        selector = selectors.from_label_selector(budget["spec"].get("selector"))
        selected = caches.list(core_v1.POD, key.namespace, selector)
        return planning.plan(budget, selected, self._expected(selected, caches), now)

    def _expected(self, selected: Sequence[Object], caches: Caches) -> int:
        """Each owner's scale once; a pod without one counts for itself. Pods of one set have one owner: it is looked
        for once a set, not once a pod."""
        looked_up: set[str] = set()
        scales: dict[str, int] = {}
        for pod in filter(pods.is_active, selected):
            controller = str((meta.controller_of(pod) or {}).get("uid", ""))
            if controller in looked_up:
                continue
            owner = self._root(pod, caches)
            if owner is not pod:
                looked_up.add(controller)
            wanted = (owner.get("spec") or {}).get("replicas") if owner is not pod else 1
            scales[meta.uid(owner)] = 1 if wanted is None else int(wanted)
        return sum(scales.values())

    def _root(self, obj: Object, caches: Caches) -> Object:
        """The outermost scalable owner."""
        reference = meta.controller_of(obj)
        kind = next((kind for kind in self._scalable if reference and _is(kind, reference)), None)
        if reference is None or kind is None:
            return obj
        owner = caches.get(kind, ObjectKey(meta.namespace(obj), str(reference["name"])))
        if owner is None or meta.uid(owner) != reference.get("uid"):
            return obj
        return self._root(owner, caches)


def _is(kind: Kind, reference: Object) -> bool:
    return reference.get("kind") == kind.kind and reference.get("apiVersion") == kind.api_version


def budgets_of_pod(pod: Object, caches: Caches) -> Iterable[ObjectKey]:
    for budget in caches.list(policy_v1.POD_DISRUPTION_BUDGET, meta.namespace(pod)):
        if selectors.from_label_selector(budget["spec"].get("selector")).matches(meta.labels(pod)):
            yield meta.key(budget)


def budgets_of_namespace(obj: Object, caches: Caches) -> Iterable[ObjectKey]:
    """A scale has changed: percentages in this namespace may mean something else."""
    for budget in caches.list(policy_v1.POD_DISRUPTION_BUDGET, meta.namespace(obj)):
        yield meta.key(budget)
