"""What a client may not decide: status on the main resource, quality of service, a Job's selector.

Each runs before validation, in place, on a private copy; `old` is None on create. Names and uids are already set.
Source: the strategies in pkg/registry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dabbawala.api import pod_defaults
from dabbawala.apimachinery import meta, quantity
from dabbawala.apimachinery.meta import Object

Prepare = Callable[[Object, Object | None], None]

_COMPUTE = ("cpu", "memory")
UID_LABEL = "batch.kubernetes.io/controller-uid"
_JOB_LABELS = (UID_LABEL, "controller-uid")
_JOB_NAME_LABELS = ("batch.kubernetes.io/job-name", "job-name")


def status_apart(initial: Object | None) -> Prepare:
    """Status is written through its subresource only: new objects start with `initial`, later it stays as it was."""

    def prepare(new: Object, old: Object | None) -> None:
        new.pop("status", None)
        kept = initial if old is None else old.get("status")
        if kept is not None:
            new["status"] = dict(kept)

    return prepare


def node(new: Object, old: Object | None) -> None:
    """A kubelet registers a node together with its status; from then on status is apart."""
    if old is not None:
        new["status"] = old.get("status") or {}


def pod(new: Object, old: Object | None) -> None:
    if old is not None:
        new["status"] = old.get("status") or {}
        return
    new["status"] = {"phase": "Pending", "qosClass": quality_of_service(new.get("spec") or {})}


def quality_of_service(spec: Object) -> str:
    """Guaranteed when every container's requests equal its limits for cpu and memory; BestEffort without any."""
    containers = list(pod_defaults.all_containers(spec))
    amounts = [item.get("resources") or {} for item in containers]
    if not any(_compute(amount.get(field)) for amount in amounts for field in ("requests", "limits")):
        return "BestEffort"
    guaranteed = all(_is_guaranteed(amount) for amount in amounts)
    return "Guaranteed" if guaranteed else "Burstable"


def _compute(amounts: Object | None) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in _COMPUTE:
        try:
            value = quantity.milli((amounts or {}).get(name, 0))
        except ValueError:
            continue
        if value:
            found[name] = value
    return found


def _is_guaranteed(resources: Object) -> bool:
    limits, requests = _compute(resources.get("limits")), _compute(resources.get("requests"))
    return len(limits) == len(_COMPUTE) and (not requests or requests == limits)


def job(new: Object, old: Object | None) -> None:
    """A Job finds its pods by its own uid, unless the client insists on a selector of its own."""
    status_apart({})(new, old)
    spec = new.setdefault("spec", {})
    if old is not None or spec.get("manualSelector"):
        return
    spec.pop("manualSelector", None)
    template = spec.setdefault("template", {})
    metadata = template["metadata"] = template.get("metadata") or {}
    labels = metadata["labels"] = metadata.get("labels") or {}
    _fill(labels, _JOB_LABELS, meta.uid(new))
    _fill(labels, _JOB_NAME_LABELS, meta.name(new))
    selector = spec["selector"] = spec.get("selector") or {}
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), UID_LABEL: meta.uid(new)}


def _fill(labels: Object, keys: Iterable[str], value: str) -> None:
    for key in keys:
        labels.setdefault(key, value)
