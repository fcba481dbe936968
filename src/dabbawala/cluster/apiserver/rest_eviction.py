"""Eviction: a deletion that PodDisruptionBudgets may refuse for now, with 429.

A budget is charged before the pod is deleted, on the revision that was read, so that two evictions at once cannot both
use the last disruption it allows. Source: pkg/registry/core/pod/storage/eviction.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import clock, conditions, meta, selectors, status
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import response, rest_accept, rest_bodies, rest_delete, rest_update
from dabbawala.cluster.apiserver.core import Call
from dabbawala.cluster.apiserver.response import Response
from dabbawala.cluster.apiserver.rest_delete import DeleteOptions
from dabbawala.cluster.apiserver.routes import Target

_BUDGETS = "poddisruptionbudgets.policy"
_VIOLATED = "Cannot evict pod as it would violate the pod's disruption budget."
_MAX_DISRUPTED = 2000
_RETRY_SECONDS = 10


async def evict(call: Call) -> Response:
    """POST pods/NAME/eviction. Raises TooManyRequests when a budget says not now."""
    body = rest_bodies.read(call)
    if meta.name(body) not in ("", call.target.name):
        raise status.BadRequest("name in URL does not match name in Eviction object")
    options = _options(call, body.get("deleteOptions") or {})
    body["metadata"] = {"name": call.target.name, "namespace": call.namespace, **body["metadata"]}
    await rest_accept.judge(call, rest_accept.admission_of(call, "CREATE", body, None))
    pod = call.core.objects.get("pods", call.namespace, call.target.name)
    if pod is None:
        raise call.not_found()
    kind = call.core.kinds.of_resource(_BUDGETS)
    if kind is not None and not _is_free(pod):
        await _charge(call, kind, pod, options)
    target = Target(call.kind, "delete", call.target.namespace, call.target.name)
    await rest_delete.delete_object(Call(call.core, call.plugins, call.request, target), options, admitted=True)
    return response.json({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201)


def _options(call: Call, given: Mapping[str, Any]) -> DeleteOptions:
    return DeleteOptions(
        given.get("gracePeriodSeconds"),
        given.get("propagationPolicy") or "",
        given.get("preconditions"),
        call.dry_run or given.get("dryRun") == ["All"],
    )


def _is_free(pod: Object) -> bool:
    """Pods that are over, not begun, or already going count in no budget."""
    phase = (pod.get("status") or {}).get("phase")
    return phase in ("Succeeded", "Failed", "Pending") or meta.is_deleting(pod)


async def _charge(call: Call, kind: Kind, pod: Object, options: DeleteOptions) -> None:
    budgets = [item for item in call.core.objects.list(_BUDGETS, call.namespace) if _covers(item, pod)]
    if not budgets:
        return
    if len(budgets) > 1:
        raise status.InternalError(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
    if not conditions.is_true(pod, "Ready") and _spares_unready(budgets[0]):
        return
    target = Target(kind, "update", call.target.namespace, meta.name(budgets[0]), "status")
    charge = Call(call.core, call.plugins, call.request, target)
    now = clock.format_time(call.core.clock.now())

    def spend(budget: Object) -> Object:
        return _spent(budget, meta.name(pod), now)

    if options.dry_run:
        spend(budgets[0])
        return
    await rest_update.update(charge, spend, tracked=False, checked=False)


def _covers(budget: Object, pod: Object) -> bool:
    selector = (budget.get("spec") or {}).get("selector")
    return selector is not None and selectors.from_label_selector(selector).matches(meta.labels(pod))


def _spares_unready(budget: Object) -> bool:
    """Whether a pod that is not ready may go without being charged."""
    if (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    state = budget.get("status") or {}
    desired = state.get("desiredHealthy", 0)
    return bool(desired > 0 and state.get("currentHealthy", 0) >= desired)


def _spent(budget: Object, pod: str, now: str) -> Object:
    """The budget with one disruption less. Raises TooManyRequests when there is none left."""
    state = budget["status"] = budget.get("status") or {}
    name = meta.name(budget)
    if state.get("observedGeneration", 0) < meta.generation(budget):
        raise _refused(f"The disruption budget {name} is still being processed by the server.", _RETRY_SECONDS)
    if state.get("disruptionsAllowed", 0) <= 0:
        needs, has = state.get("desiredHealthy", 0), state.get("currentHealthy", 0)
        raise _refused(f"The disruption budget {name} needs {needs} healthy pods and has {has} currently", 0)
    disrupted = state["disruptedPods"] = state.get("disruptedPods") or {}
    if len(disrupted) > _MAX_DISRUPTED:
        raise status.Forbidden(f"pdb disrupted pods map has too many entries: {name}")
    state["disruptionsAllowed"] -= 1
    disrupted[pod] = now
    return budget


def _refused(why: str, retry_seconds: int) -> status.TooManyRequests:
    details: Object = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    if retry_seconds:
        details["retryAfterSeconds"] = retry_seconds
    return status.TooManyRequests(_VIOLATED, details=details)
