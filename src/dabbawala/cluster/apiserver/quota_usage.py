"""What an object counts for in quotas, and whether a quota is about it at all.

Pure. Names of resources are those of a quota's `hard`: `pods`, `requests.cpu`, `services.nodeports`,
`count/deployments.apps`, `gold.storageclass.storage.k8s.io/requests.storage`.
Source: pkg/quota/v1/evaluator/core, apiserver/pkg/quota/v1/generic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from dabbawala.api import preparation, quota_rules
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import amounts
from dabbawala.cluster.apiserver.amounts import NONE, ONE, Amount

COUNT = "count/"
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
# Objects that are counted under their own name too.
_PLAIN = frozenset({"replicationcontrollers", "resourcequotas", "secrets", "configmaps"})
_OF_CLASS = ".storageclass.storage.k8s.io/"
# What every container must state where a quota limits it.
_STATED = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})
_FINISHED = frozenset({"Succeeded", "Failed"})
_AFFINITIES = ("podAffinity", "podAntiAffinity")

Usage = Mapping[str, Amount]


def usage(resource: str, obj: Object) -> dict[str, Amount]:
    """Everything that the object counts for. A pod that has ended is an object, but takes nothing."""
    found = {COUNT + resource: ONE}
    if resource == "pods":
        if (obj.get("status") or {}).get("phase") not in _FINISHED:
            spec = obj.get("spec") or {}
            found["pods"] = ONE
            found.update(_computed(amounts.of_pod(spec, "requests"), amounts.of_pod(spec, "limits")))
    elif resource == "services":
        found.update(_of_service(obj.get("spec") or {}))
    elif resource == "persistentvolumeclaims":
        found.update(_of_claim(obj.get("spec") or {}))
    elif resource in _PLAIN:
        found[resource] = ONE
    return found


def _computed(requests: Usage, limits: Usage) -> dict[str, Amount]:
    found: dict[str, Amount] = {}
    for name, amount in requests.items():
        plain = name in _COMPUTE or name.startswith(quota_rules.HUGE_PAGES)
        if plain:
            found[name] = amount
        if plain or quota_rules.is_extended(name):
            found[f"requests.{name}"] = amount
    found.update({f"limits.{name}": limits[name] for name in _COMPUTE if name in limits})
    return found


def _of_service(spec: Object) -> dict[str, Amount]:
    kind, ports = spec.get("type"), spec.get("ports") or ()
    found = {"services": ONE, "services.nodeports": NONE, "services.loadbalancers": NONE}
    if kind == "LoadBalancer":
        found["services.loadbalancers"] = ONE
        if spec.get("allocateLoadBalancerNodePorts") is False:
            ports = [port for port in ports if port.get("nodePort")]
    if kind in ("NodePort", "LoadBalancer"):
        found["services.nodeports"] = amounts.count(len(ports))
    return found


def _of_claim(spec: Object) -> dict[str, Amount]:
    found = {"persistentvolumeclaims": ONE}
    requested = amounts.read((spec.get("resources") or {}).get("requests")).get("storage")
    if requested is not None:
        found["requests.storage"] = requested
    name = spec.get("storageClassName")
    return {**found, **{f"{name}{_OF_CLASS}{key}": amount for key, amount in found.items()}} if name else found


def counted_by(names: Iterable[str]) -> set[str]:
    """The resources whose objects count for these names of a quota's `hard`."""
    return {_counted(name) for name in names}


def _counted(name: str) -> str:
    if name.startswith(COUNT):
        return name.removeprefix(COUNT)
    if name in quota_rules.COUNTED:
        return name.partition(".")[0]
    if name in ("persistentvolumeclaims", "requests.storage") or _OF_CLASS in name:
        return "persistentvolumeclaims"
    return "pods"


def unstated(names: Iterable[str], pod: Object) -> str:
    """`cpu for: web; limits.memory for: web,proxy`: what the containers of a pod must state and do not; or empty."""
    spec = pod.get("spec") or {}
    missing: dict[str, set[str]] = {}
    required = _STATED.intersection(names)
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        stated = _computed(amounts.of_container(container, "requests"), amounts.of_container(container, "limits"))
        for name in required - stated.keys():
            missing.setdefault(name, set()).add(container.get("name") or "")
    return "; ".join(f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))


# Scopes ----------------------------------------------------------------------------------------------------------


def scopes(spec: Object) -> list[Object]:
    """All that a quota's `scopes` and `scopeSelector` ask for."""
    plain = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ()]
    return [*plain, *((spec.get("scopeSelector") or {}).get("matchExpressions") or ())]


def is_about(terms: Iterable[Object], resource: str, obj: Object) -> bool:
    """A quota with scopes is about pods (or claims) only, and only about those that are in all of them."""
    return all(_in_scope(term, resource, obj) for term in terms)


def _in_scope(term: Object, resource: str, obj: Object) -> bool:
    name, spec = term.get("scopeName") or "", obj.get("spec") or {}
    if resource == "persistentvolumeclaims" and name == "VolumeAttributesClass":
        return _selected(term, spec.get("volumeAttributesClassName"))
    if resource != "pods":
        return False
    if name == "PriorityClass":
        return _selected(term, spec.get("priorityClassName"))
    check = _POD_SCOPES.get(name)
    return check is not None and check(spec)


def _selected(term: Object, value: str | None) -> bool:
    operator, values = term.get("operator"), term.get("values") or ()
    if operator == "Exists":
        return bool(value)
    if operator == "DoesNotExist":
        return not value
    return (value in values) == (operator == "In")


def _is_terminating(spec: Object) -> bool:
    return (spec.get("activeDeadlineSeconds") or -1) >= 0


def _is_best_effort(spec: Object) -> bool:
    return preparation.quality_of_service(spec) == "BestEffort"


def _crosses_namespaces(spec: Object) -> bool:
    affinity = spec.get("affinity") or {}
    for kind in _AFFINITIES:
        given = affinity.get(kind) or {}
        terms = [*(given.get("requiredDuringSchedulingIgnoredDuringExecution") or ())]
        weighted = given.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        terms += [item.get("podAffinityTerm") or {} for item in weighted]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False


_POD_SCOPES: Mapping[str, Callable[[Object], bool]] = {
    "Terminating": _is_terminating,
    "NotTerminating": lambda spec: not _is_terminating(spec),
    "BestEffort": _is_best_effort,
    "NotBestEffort": lambda spec: not _is_best_effort(spec),
    "CrossNamespacePodAffinity": _crosses_namespaces,
}
