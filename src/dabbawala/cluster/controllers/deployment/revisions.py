"""The revisions of a Deployment: which ReplicaSet is the current one, what they are called, which are forgotten.

Source: pkg/controller/deployment/util/deployment_util.go and sync.go in Kubernetes 1.37.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dabbawala.api import apps_v1
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.reconcile import templates
from dabbawala.reconcile.plan import Action, Delete, Patch

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION, HISTORY, DESIRED, MAXIMUM,
        "deprecated.deployment.rollback.to",
    }
)  # fmt: skip
HISTORY_LIMIT = 2000
"""Characters of the history annotation; the oldest entries go first."""


def by_age(sets: Iterable[Object]) -> list[Object]:
    """Oldest first; names decide between sets of one second."""
    return sorted(sets, key=lambda item: (str(meta.metadata(item).get("creationTimestamp", "")), meta.name(item)))


def current(deployment: Object, sets: Iterable[Object]) -> Object | None:
    """The oldest set whose template is the Deployment's."""
    wanted = templates.without_label(deployment["spec"]["template"], templates.HASH_LABEL)
    same = (
        item
        for item in by_age(sets)
        if templates.without_label(item["spec"]["template"], templates.HASH_LABEL) == wanted
    )
    return next(same, None)


def number(item: Object) -> int:
    """The revision of a set; 0 when it has none."""
    text = meta.annotations(item).get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def next_number(old: Iterable[Object]) -> int:
    return max(map(number, old), default=0) + 1


def name_for(deployment: Object) -> tuple[str, str]:
    """Name and template hash of the set that the Deployment's template asks for."""
    collisions = int((deployment.get("status") or {}).get("collisionCount") or 0)
    hashed = templates.hash_of(deployment["spec"]["template"], collisions)
    return f"{meta.name(deployment)}-{hashed}", hashed


def new_set(deployment: Object, *, replicas: int, revision: int, maximum: int) -> Object:
    """The ReplicaSet for the Deployment's template."""
    name, hashed = name_for(deployment)
    spec = deployment["spec"]
    template = spec["template"]
    given = template.get("metadata") or {}
    labels = {**(given.get("labels") or {}), templates.HASH_LABEL: hashed}
    selector = spec.get("selector") or {}
    made: Object = {
        "replicas": replicas,
        "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), templates.HASH_LABEL: hashed}},
        "template": {**template, "metadata": {**given, "labels": labels}},
    }
    if spec.get("minReadySeconds"):
        made["minReadySeconds"] = spec["minReadySeconds"]
    annotations = _copied(deployment) | {
        REVISION: str(revision),
        DESIRED: str(wanted(deployment)),
        MAXIMUM: str(maximum),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": meta.namespace(deployment),
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [meta.owner_reference(deployment)],
        },
        "spec": made,
    }


def wanted(deployment: Object) -> int:
    """`spec.replicas`, 1 when it is not given."""
    value = deployment["spec"].get("replicas")
    return 1 if value is None else int(value)


def sync_current(deployment: Object, item: Object, revision: int) -> tuple[Action, ...]:
    """What must change on the current set and on the Deployment for revision number and annotations to be right."""
    actions: list[Action] = []
    body: Object = {}
    annotations = {k: v for k, v in _copied(deployment).items() if meta.annotations(item).get(k) != v}
    had = number(item)
    if had < revision:
        annotations[REVISION] = str(revision)
        if had:
            annotations[HISTORY] = _history(item, had)
    if annotations:
        body["metadata"] = {"annotations": annotations}
    min_ready = int(deployment["spec"].get("minReadySeconds") or 0)
    if int(item["spec"].get("minReadySeconds") or 0) != min_ready:
        body["spec"] = {"minReadySeconds": min_ready}
    if body:
        actions.append(Patch(apps_v1.REPLICA_SET, meta.key(item), body, resource_version=meta.resource_version(item)))
    return (*actions, *annotate(deployment, max(had, revision)))


def annotate(deployment: Object, revision: int) -> tuple[Action, ...]:
    """The Deployment carries the number of its current revision."""
    if meta.annotations(deployment).get(REVISION) == str(revision):
        return ()
    body = {"metadata": {"annotations": {REVISION: str(revision)}}}
    return (Patch(apps_v1.DEPLOYMENT, meta.key(deployment), body),)


def forget(deployment: Object, old: Sequence[Object]) -> tuple[Action, ...]:
    """Delete the oldest empty sets beyond `revisionHistoryLimit`."""
    limit = deployment["spec"].get("revisionHistoryLimit")
    if limit is None:
        return ()
    alive = sorted((item for item in old if not meta.is_deleting(item)), key=number)
    surplus = alive[: max(len(alive) - int(limit), 0)]
    return tuple(Delete(apps_v1.REPLICA_SET, meta.key(item), uid=meta.uid(item)) for item in surplus if is_empty(item))


def taken(deployment: Object, found: Object | None) -> bool:
    """The name that the next set would have belongs to something else."""
    if found is None:
        return False
    owner = meta.controller_of(found)
    ours = owner is not None and owner.get("uid") == meta.uid(deployment)
    return not ours or not templates.equal(found["spec"]["template"], deployment["spec"]["template"])


def key_for(deployment: Object) -> ObjectKey:
    """The key of the set that the Deployment's template asks for."""
    return ObjectKey(meta.namespace(deployment), name_for(deployment)[0])


def is_empty(item: Object) -> bool:
    """The set wants no pods and reports that it has none."""
    status = item.get("status") or {}
    seen = int(status.get("observedGeneration") or 0) >= meta.generation(item)
    return seen and not status.get("replicas") and not item["spec"].get("replicas")


def _copied(deployment: Object) -> dict[str, str]:
    return {k: v for k, v in meta.annotations(deployment).items() if k not in _NOT_COPIED}


def _history(item: Object, had: int) -> str:
    entries = [entry for entry in meta.annotations(item).get(HISTORY, "").split(",") if entry]
    entries.append(str(had))
    while len(",".join(entries)) > HISTORY_LIMIT:
        entries.pop(0)
    return ",".join(entries)
