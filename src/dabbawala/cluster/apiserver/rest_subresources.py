"""The built-in subresources beside status: binding, eviction, scale, finalize."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from dabbawala.apimachinery import conditions, meta, status
from dabbawala.apimachinery.conditions import Condition
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import (
    response,
    rest_accept,
    rest_bodies,
    rest_eviction,
    rest_meta,
    rest_scale,
    rest_update,
)
from dabbawala.cluster.apiserver.core import Call
from dabbawala.cluster.apiserver.response import Response

Serve = Callable[[Call], Awaitable[Response]]


def find(subresource: str, verb: str) -> Serve | None:
    """What serves that verb of that subresource."""
    return _SERVED.get((subresource, verb))


async def bind(call: Call) -> Response:
    """POST pods/NAME/binding: put a pod on a node, once. Source: pkg/registry/core/pod/storage BindingREST."""
    binding = rest_bodies.read(call)
    node = (binding.get("target") or {}).get("name")
    if not node:
        raise status.invalid_object("Binding", call.target.name, [status.required("target.name")])
    labels, annotations = meta.labels(binding), meta.annotations(binding)
    await rest_accept.judge(call, rest_accept.admission_of(call, "CREATE", binding, None))

    def assign(pod: Object) -> Object:
        _check_bindable(call, pod)
        uid = meta.uid(binding)
        rest_meta.check_preconditions(call.kind, pod, {"uid": uid} if uid else None)
        pod.setdefault("spec", {})["nodeName"] = node
        state = pod["status"] = pod.get("status") or {}
        scheduled = Condition("PodScheduled", "True", "", observed_generation=meta.generation(pod) or None)
        listed = conditions.put(state.get("conditions") or (), scheduled, call.core.clock.now())
        state["conditions"] = [_without_empty(item) for item in listed]
        for field, given in (("labels", labels), ("annotations", annotations)):
            if given:
                pod["metadata"][field] = {**(pod["metadata"].get(field) or {}), **given}
        return pod

    await rest_update.update(call, assign, tracked=False, checked=False)
    return response.json({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201)


def _without_empty(condition: Object) -> Object:
    return {key: value for key, value in condition.items() if value != ""}


def _check_bindable(call: Call, pod: Object) -> None:
    name, assigned = meta.name(pod), (pod.get("spec") or {}).get("nodeName")
    if meta.is_deleting(pod):
        why = f"pod {name} is being deleted, cannot be assigned to a host"
    elif assigned:
        why = f'pod {name} is already assigned to node "{assigned}"'
    elif (pod.get("spec") or {}).get("schedulingGates"):
        why = f"pod {name} has non-empty .spec.schedulingGates"
    else:
        return
    details = {"name": name, "kind": "pods/binding"}
    raise status.Conflict(f'Operation cannot be fulfilled on pods/binding "{name}": {why}', details=details)


async def finalize(call: Call) -> Response:
    """PUT namespaces/NAME/finalize: change `spec.finalizers`; an emptied namespace goes with its last one."""
    if call.kind.resource != "namespaces":
        raise status.NotFound("the server could not find the requested resource")
    wanted = rest_bodies.read(call)
    rest_meta.check_identity(call, wanted)

    def change(current: Object) -> Object:
        spec = {**(current.get("spec") or {})}
        spec.pop("finalizers", None)
        finalizers = (wanted.get("spec") or {}).get("finalizers")
        if finalizers:
            spec["finalizers"] = finalizers
        metadata = {**current["metadata"], "resourceVersion": meta.resource_version(wanted)}
        return {**current, "metadata": metadata, "spec": spec}

    return rest_bodies.answer(call, await rest_update.update(call, change, tracked=False, checked=False))


_SERVED: dict[tuple[str, str], Serve] = {
    ("binding", "create"): bind,
    ("eviction", "create"): rest_eviction.evict,
    ("scale", "get"): rest_scale.get,
    ("scale", "update"): rest_scale.put,
    ("scale", "patch"): rest_scale.patched,
    ("finalize", "update"): finalize,
}
