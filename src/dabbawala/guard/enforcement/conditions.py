"""The match conditions that an installed policy has beyond its file: whom and what it leaves alone.

    not-being-deleted   what is being deleted may lose its finalizers (workloads, which start nothing any more)
    changes-something   an update that changes none of the fields that the check looks at makes nothing worse: what was
                        there before the policy can be scaled, labelled and rolled out for other reasons
    not-by-the-system   the API server, the scheduler, nodes, and the built-in controllers, which only carry out what
                        was judged when somebody wrote it: the pods of a ReplicaSet, roles that are aggregated
    except-…            the exceptions, each with its end

A policy has no clock. What is created carries the present in `creationTimestamp`, what is updated in the newest time of
`managedFields`; the server sets both before admission. So an exception ends by itself. An update that only takes fields
away notes no time: such a one passes until the object is touched otherwise, or the policies are installed again.

Conditions must not fail, because an error is a refusal. Pure.
Source: apiserver/pkg/endpoints/handlers (managed fields before admission), registry/rest BeforeCreate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import orjson

from dabbawala.apimachinery import clock
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.selectors import LabelSelector, Requirement
from dabbawala.guard.enforcement import reads
from dabbawala.guard.exceptions import PolicyException
from dabbawala.policy.admission import CompiledPolicy

EXCEPTIONS_MAX = 40
"""Conditions that exceptions may take; of more of them, several share one. A policy may have 64 in all."""
_NAME_MAX = 50  # characters of an exception's name in the name of its condition

PODS = frozenset(
    (
        "Pod", "ReplicationController", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob",
        "Rollout",
    )
)  # fmt: skip
"""Kinds whose controllers start nothing any more when the object is being deleted."""
_COMPONENTS = ("system:apiserver", "system:kube-controller-manager", "system:kube-scheduler")
_CONTROLLERS = (
    "clusterrole-aggregation-controller", "cronjob-controller", "daemon-set-controller", "deployment-controller",
    "disruption-controller", "endpoint-controller", "endpointslice-controller", "endpointslicemirroring-controller",
    "expand-controller", "generic-garbage-collector", "horizontal-pod-autoscaler", "job-controller",
    "namespace-controller", "node-controller", "persistent-volume-binder", "pod-garbage-collector",
    "pv-protection-controller", "pvc-protection-controller", "replicaset-controller", "replication-controller",
    "resourcequota-controller", "root-ca-cert-publisher", "service-account-controller", "service-controller",
    "statefulset-controller", "ttl-after-finished-controller",
)  # fmt: skip
_ACCOUNTS = "system:serviceaccount:kube-system:"
_NODES = "system:nodes"


def beyond(policy: CompiledPolicy, exceptions: Iterable[PolicyException]) -> list[Object]:
    """The conditions that an installed policy has beside its own."""
    fields = reads.of(policy)
    found = [_condition("not-being-deleted", _not_deleting())] if fields.keys() <= PODS else []
    changes = _changes(fields)
    if changes:
        found.append(_condition("changes-something", changes))
    found.append(_condition("not-by-the-system", _not_the_system()))
    return [*found, *_excepting(sorted(exceptions, key=lambda item: item.name))]


def _condition(name: str, expression: str) -> Object:
    return {"name": name, "expression": expression}


def _not_deleting() -> str:
    return "object == null || !has(object.metadata.deletionTimestamp)"


# Updates ------------------------------------------------------------------------------------------------------------


def _changes(fields: Mapping[str, reads.Paths]) -> str:
    """Empty where any change matters."""
    kinds: dict[reads.Paths, list[str]] = defaultdict(list)
    for kind, paths in fields.items():
        kinds[paths].append(kind)
    if reads.EVERYTHING in kinds and len(kinds) == 1:
        return ""
    *others, (last, _) = sorted(kinds.items(), key=lambda group: reads.ANY_KIND in group[1])
    text = _differ(last)
    for paths, named in reversed(others):
        text = f"object.kind in {_list(named)} ? {_differ(paths)} : {text}"
    return f"object == null || oldObject == null || ({text})"


def _differ(paths: reads.Paths) -> str:
    """Whether any of these fields is another one. What lies at none of them never is."""
    if () in paths:
        return "true"
    compared = [f"object{_steps(path)} != oldObject{_steps(path)}" for path in sorted(paths)]
    return f"({' || '.join(compared)})" if compared else "false"


def _steps(path: reads.Path) -> str:
    return "".join(f".?{step}" if step.isidentifier() else f"[?{_text(step)}]" for step in path)


# Users --------------------------------------------------------------------------------------------------------------


def _not_the_system() -> str:
    users = [*_COMPONENTS, *(_ACCOUNTS + name for name in _CONTROLLERS)]
    user = f"request.userInfo.?username.orValue('') in {_list(users)}"
    return f"!({user} || {_text(_NODES)} in request.userInfo.?groups.orValue([]))"


# Exceptions ---------------------------------------------------------------------------------------------------------


def _excepting(exceptions: Sequence[PolicyException]) -> Iterator[Object]:
    share = -(-len(exceptions) // EXCEPTIONS_MAX) or 1
    for first in range(0, len(exceptions), share):
        together = exceptions[first : first + share]
        name = f"except-{first}-{_plain(together[0].name)}"
        yield _condition(name, " && ".join(f"!({_covered(item)})" for item in together))


def _plain(name: str) -> str:
    return name[:_NAME_MAX].rstrip("-._")


def _covered(item: PolicyException) -> str:
    """As `PolicyException.covers`, and that it has not ended."""
    terms = ["object != null"]
    if item.kinds:
        terms.append(f"object.kind in {_list(sorted(item.kinds))}")
    terms += _named("object.?metadata.?namespace.orValue('')", item.namespaces)
    terms += _named("object.?metadata.?name.orValue('')", item.names)
    terms += _selected(item.selector)
    return " && ".join([*terms, _before(f"timestamp({_text(clock.format_time(item.expires))})")])


def _named(value: str, patterns: Sequence[str]) -> list[str]:
    if not patterns:
        return []
    begins = [f"{value}.startsWith({_text(item[:-1])})" for item in patterns if item.endswith("*")]
    exact = [item for item in patterns if not item.endswith("*")]
    choices = [*begins, *([f"{value} in {_list(exact)}"] if exact else [])]
    return [f"({' || '.join(choices)})"]


def _selected(selector: LabelSelector) -> Iterator[str]:
    if selector.nothing:
        yield "false"
    yield from map(_required, selector.requirements)


def _required(term: Requirement) -> str:
    label = f"object.?metadata.?labels[?{_text(term.key)}]"
    match term.op:
        case "In":
            return f"{label}.hasValue() && {label}.value() in {_list(sorted(term.values))}"
        case "NotIn":
            return f"!({label}.hasValue() && {label}.value() in {_list(sorted(term.values))})"
        case "Exists":
            return f"{label}.hasValue()"
        case _:
            return f"!{label}.hasValue()"


def _before(end: str) -> str:
    created = f"timestamp(object.metadata.creationTimestamp) < {end}"
    both = [f"{each}.?metadata.?managedFields.orValue([])" for each in ("object", "oldObject")]
    noted = f"object.?metadata.?managedFields.orValue([]) != [] && ({' + '.join(both)})"
    changed = f"{noted}.all(m, has(m.time) && timestamp(m.time) < {end})"
    return f"(oldObject == null ? {created} : {changed})"


def _list(values: Iterable[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"


def _text(value: str) -> str:
    """A string literal. JSON's escapes are CEL's."""
    return orjson.dumps(value).decode()
