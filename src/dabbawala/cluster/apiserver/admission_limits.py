"""LimitRanger: what the limit ranges of a namespace give to containers, and what they refuse.

Defaults are given to new pods before they are validated; minimum, maximum and ratio are judged afterwards.
Source: plugin/pkg/admission/limitranger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from dabbawala.api import pod_defaults
from dabbawala.apimachinery import meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import amounts
from dabbawala.cluster.apiserver.amounts import Amount, Amounts
from dabbawala.cluster.apiserver.core import Core
from dabbawala.cluster.apiserver.plugins import Admission

ANNOTATION = "kubernetes.io/limit-ranger"
_RESOURCE = "limitranges"
_CLAIMS = "persistentvolumeclaims"
_CONTAINERS = (("containers", "container"), ("initContainers", "init container"))


def _by_namespace(ranges: Iterable[Object]) -> dict[str, list[Object]]:
    """Namespace -> the items of all its limit ranges."""
    found: dict[str, list[Object]] = {}
    for item in ranges:
        found.setdefault(meta.namespace(item), []).extend((item.get("spec") or {}).get("limits") or ())
    return found


def _items(core: Core, namespace: str) -> list[Object]:
    return core.objects.derived(_RESOURCE, _by_namespace).get(namespace, [])


# What is given ---------------------------------------------------------------------------------------------------


def give(core: Core, admission: Admission) -> None:
    """Fill in requests and limits of a new pod, in place, and note on it what was set."""
    if admission.operation != "CREATE" or admission.subresource or admission.object is None:
        return
    items = [item for item in _items(core, admission.namespace) if item.get("type") == "Container"]
    if not items:
        return
    requests = {name: value for item in items for name, value in (item.get("defaultRequest") or {}).items()}
    limits = {name: value for item in items for name, value in (item.get("default") or {}).items()}
    spec = admission.object.setdefault("spec", {})
    noted = [
        note
        for field, word in _CONTAINERS
        for container in spec.get(field) or ()
        for note in _given(container, word, requests, limits)
    ]
    if noted:
        metadata = admission.object["metadata"]
        text = "LimitRanger plugin set: " + "; ".join(noted)
        metadata["annotations"] = {**(metadata.get("annotations") or {}), ANNOTATION: text}


def _given(container: Object, word: str, requests: Object, limits: Object) -> Iterator[str]:
    resources = container["resources"] = container.get("resources") or {}
    for field, values in (("requests", requests), ("limits", limits)):
        missing = {name: value for name, value in values.items() if name not in (resources.get(field) or {})}
        if missing:
            resources[field] = {**(resources.get(field) or {}), **missing}
            pod_defaults.canonical_quantities(resources[field])
            yield f"{', '.join(sorted(missing))} {field[:-1]} for {word} {container.get('name')}"


# What is refused -------------------------------------------------------------------------------------------------


def judge(core: Core, admission: Admission) -> None:
    """Raises Forbidden."""
    resource, obj = admission.kind.resource, admission.object
    if obj is None or admission.subresource or resource not in ("pods", _CLAIMS):
        return
    if resource == "pods" and admission.operation != "CREATE":
        return
    items = _items(core, admission.namespace)
    if not items:
        return
    spec = obj.get("spec") or {}
    wrong = [text for item in items for text in (_of_pod(item, spec) if resource == "pods" else _of_claim(item, spec))]
    if wrong:
        listed = list(dict.fromkeys(wrong))
        why = listed[0] if len(listed) == 1 else f"[{', '.join(listed)}]"
        details = {"name": admission.name, "kind": resource}
        raise status.Forbidden(f'{resource} "{admission.name}" is forbidden: {why}', details=details)


def _of_pod(item: Object, spec: Object) -> Iterator[str]:
    if item.get("type") == "Container":
        for field, _ in _CONTAINERS:
            for container in spec.get(field) or ():
                requests = amounts.of_container(container, "requests")
                yield from _constraints(item, requests, amounts.of_container(container, "limits"))
    elif item.get("type") == "Pod":
        yield from _constraints(item, _sum(spec, "requests"), _sum(spec, "limits"))


def _sum(spec: Object, field: str) -> dict[str, Amount]:
    return amounts.of_pod(spec, field, overhead=False)


def _constraints(item: Object, requests: Amounts, limits: Amounts) -> Iterator[str]:
    kind = item["type"]
    for name, least in sorted(amounts.read(item.get("min")).items()):
        yield from _minimum(name, kind, least, requests.get(name), limits.get(name))
    for name, highest in sorted(amounts.read(item.get("max")).items()):
        yield from _maximum(name, kind, highest, requests.get(name), limits.get(name))
    for name, ratio in sorted(amounts.read(item.get("maxLimitRequestRatio")).items()):
        yield from _ratio(name, kind, ratio, requests.get(name), limits.get(name))


def _minimum(name: str, kind: str, least: Amount, request: Amount | None, limit: Amount | None) -> Iterator[str]:
    rule = f"minimum {name} usage per {kind} is {least}"
    if request is None:
        yield f"{rule}.  No request is specified"
    elif request.number < least.number:
        yield f"{rule}, but request is {request}"
    elif limit is not None and limit.number < least.number:
        yield f"{rule}, but limit is {limit}"


def _maximum(name: str, kind: str, highest: Amount, request: Amount | None, limit: Amount | None) -> Iterator[str]:
    rule = f"maximum {name} usage per {kind} is {highest}"
    if limit is None:
        yield f"{rule}.  No limit is specified"
    elif limit.number > highest.number:
        yield f"{rule}, but limit is {limit}"
    elif request is not None and request.number > highest.number:
        yield f"{rule}, but request is {request}"


def _ratio(name: str, kind: str, ratio: Amount, request: Amount | None, limit: Amount | None) -> Iterator[str]:
    rule = f"{name} max limit to request ratio per {kind} is {ratio}"
    if request is None or not request.number:
        yield f"{rule}, but no request is specified or request is 0"
    elif limit is None or not limit.number:
        yield f"{rule}, but no limit is specified or limit is 0"
    else:
        found: Decimal = limit.number / request.number
        if found > ratio.number:
            yield f"{rule}, but provided ratio is {found:.6f}"


def _of_claim(item: Object, spec: Object) -> Iterator[str]:
    if item.get("type") != "PersistentVolumeClaim":
        return
    requests = amounts.read(_requested(spec))
    for name, least in sorted(amounts.read(item.get("min")).items()):
        yield from _minimum(name, item["type"], least, requests.get(name), None)
    for name, highest in sorted(amounts.read(item.get("max")).items()):
        request = requests.get(name)
        rule = f"maximum {name} usage per {item['type']} is {highest}"
        if request is None:
            yield f"{rule}.  No request is specified"
        elif request.number > highest.number:
            yield f"{rule}, but request is {request}"


def _requested(spec: Object) -> Any:
    return (spec.get("resources") or {}).get("requests")
