"""A check as the objects that enforce it: its policy, with the conditions of `conditions`, and one binding.

What is installed says so: a label names who manages it, another is the hash of what it says, so that a change by
somebody else shows; annotations keep the stage and the hash of the file that it was made from. Parameters are one
ConfigMap for all policies that take some. Policies without parameters are installed in their parameter-free form.

A static manifest, which an API server of 1.36 and later reads from its own disk, may not refer to parameters: they are
written into the policy. Pure.
Source: KEP-5793 (names end in .static.k8s.io, no paramKind, bindings of policies of the same files).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from dabbawala.api import admissionregistration_v1 as v1
from dabbawala.api import core_v1
from dabbawala.api.kind import Kind, schema_of
from dabbawala.apimachinery import meta, structural
from dabbawala.apimachinery.meta import Object
from dabbawala.guard import checks
from dabbawala.guard.checks import Check
from dabbawala.guard.enforcement import conditions
from dabbawala.guard.enforcement.stages import Stage
from dabbawala.guard.exceptions import PolicyException
from dabbawala.guard.world import SYSTEM
from dabbawala.policy.admission import CompiledPolicy
from dabbawala.policy.matching import NAMESPACE_NAME

POLICY, BINDING = v1.VALIDATING_ADMISSION_POLICY, v1.VALIDATING_ADMISSION_POLICY_BINDING
FIELD_MANAGER = "dabbawala-guard"
MANAGED_BY, OURS = "app.kubernetes.io/managed-by", "dabbawala"
HASH = "guard.dabbawala.dev/hash"
STAGE = "guard.dabbawala.dev/stage"
SOURCE = "guard.dabbawala.dev/source"
STATIC = ".static.k8s.io"
PARAMETERS_NAME, PARAMETERS_HOME = "guard-parameters", "kube-system"
_TOLD = ("id", "title", "severity", "remedy")  # annotations that go along


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all policies alike. `parameters` are the ConfigMap's data; `namespaces` a LabelSelector."""

    exceptions: tuple[PolicyException, ...] = ()
    parameters: Mapping[str, str] | None = None
    namespaces: Object | None = None

    def excepted(self, check: Check) -> list[PolicyException]:
        return [item for item in self.exceptions if check.exceptable and check.id in item.checks]


class Staged(NamedTuple):
    """A check, and how far it is to go."""

    check: Check
    stage: Stage


def documents(wanted: Sequence[Staged], terms: Terms) -> list[Object]:
    """All objects, in the order in which they may be applied."""
    asked = terms.parameters is not None and any(takes_parameters(check) for check, _ in wanted)
    made = [parameters(terms)] if asked else []
    for check, stage in wanted:
        made += [policy(check, terms), binding(check, stage, terms)]
    return made


def static(wanted: Iterable[Staged], terms: Terms) -> dict[str, list[Object]]:
    """File name -> the policy of a check and its binding, for an API server's directory of static manifests."""
    made = {}
    for check, stage in wanted:
        inlined = _inlined(check.document, terms.parameters or {})
        both = _policy(check, inlined, terms), _binding(check, stage, terms)
        made[f"{check.id.lower()}.yaml"] = [_renamed(obj) for obj in both]
    return made


def policy(check: Check, terms: Terms) -> Object:
    with_parameters = terms.parameters is not None and takes_parameters(check)
    return _policy(check, check.document if with_parameters else checks.parameter_free(check.document), terms)


def binding(check: Check, stage: Stage, terms: Terms) -> Object:
    made = _binding(check, stage, terms)
    if terms.parameters is None or not takes_parameters(check):
        return made
    missing = "Deny" if stage is Stage.DENY else "Allow"
    ref = {"name": PARAMETERS_NAME, "namespace": PARAMETERS_HOME, "parameterNotFoundAction": missing}
    return _signed(BINDING, {**made, "spec": {**made["spec"], "paramRef": ref}})


def parameters(terms: Terms) -> Object:
    metadata = {"name": PARAMETERS_NAME, "namespace": PARAMETERS_HOME}
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(terms.parameters or {})}
    return _signed(core_v1.CONFIG_MAP, made)


def takes_parameters(check: Check) -> bool:
    return "paramKind" in check.spec


def _policy(check: Check, document: Object, terms: Terms) -> Object:
    own = document["spec"].get("matchConditions") or ()
    beyond = conditions.beyond(CompiledPolicy.of(document), terms.excepted(check))
    said = meta.annotations(document)
    told = {checks.PREFIX + name: " ".join(said[checks.PREFIX + name].split()) for name in _TOLD}
    made = {
        "apiVersion": POLICY.api_version,
        "kind": POLICY.kind,
        "metadata": {"name": check.name, "annotations": {**told, SOURCE: source(check)}},
        "spec": {**document["spec"], "matchConditions": [*own, *beyond]},
    }
    return _signed(POLICY, made)


def _binding(check: Check, stage: Stage, terms: Terms) -> Object:
    spec = {
        "policyName": check.name,
        "validationActions": list(stage.actions),
        "matchResources": {"namespaceSelector": _outside_the_system(terms.namespaces)},
    }
    metadata = {"name": check.name, "annotations": {checks.PREFIX + "id": check.id, STAGE: str(stage)}}
    made = {"apiVersion": BINDING.api_version, "kind": BINDING.kind, "metadata": metadata, "spec": spec}
    return _signed(BINDING, made)


def _outside_the_system(chosen: Object | None) -> Object:
    """The chosen namespaces without those that came with Kubernetes."""
    selector = chosen or {}
    outside = {"key": NAMESPACE_NAME, "operator": "NotIn", "values": sorted(SYSTEM)}
    return {**selector, "matchExpressions": [*(selector.get("matchExpressions") or ()), outside]}


# Hashes -------------------------------------------------------------------------------------------------------------


def source(check: Check) -> str:
    """The hash of what the check's file asks for."""
    return _hash(check.spec)


def fingerprint(kind: Kind, obj: Object) -> str:
    """The hash of what an object says, whether somebody wrote it or a server has stored it: fields that our release
    does not know are left out, defaults filled in."""
    plain: Object = orjson.loads(orjson.dumps({"apiVersion": kind.api_version, "kind": kind.kind, **obj}))
    schema = schema_of(kind)
    if schema is not None:
        structural.conform(plain, schema)
    kind.default(plain)
    return _hash([plain.get("spec"), plain.get("data")])


def _hash(value: object) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _signed(kind: Kind, obj: Object) -> Object:
    labels = {MANAGED_BY: OURS, HASH: fingerprint(kind, obj)}
    return {**obj, "metadata": {**obj["metadata"], "labels": labels}}


def is_ours(obj: Object) -> bool:
    """Whether we have installed it."""
    return meta.labels(obj).get(MANAGED_BY) == OURS and HASH in meta.labels(obj)


# Static manifests ---------------------------------------------------------------------------------------------------


def _inlined(document: Object, values: Mapping[str, str]) -> Object:
    """The policy with its parameters written into it."""
    free = checks.parameter_free(document)
    if free is document or not values:
        return free
    said = orjson.dumps(dict(values), option=orjson.OPT_SORT_KEYS).decode()
    variables = [
        {**item, "expression": said} if item["name"] == checks.PARAMETERS else item
        for item in free["spec"]["variables"]
    ]
    return {**free, "spec": {**free["spec"], "variables": variables}}


def _renamed(obj: Object) -> Object:
    spec = obj["spec"]
    if "policyName" in spec:
        spec = {**spec, "policyName": spec["policyName"] + STATIC}
    return {**obj, "metadata": {**obj["metadata"], "name": meta.name(obj) + STATIC}, "spec": spec}


def ordered(objects: Iterable[Object]) -> Iterator[Object]:
    """As they must be removed: bindings before the policies that they bind, parameters last."""
    yield from sorted(objects, key=lambda obj: (_REMOVED.index(obj["kind"]), meta.name(obj)))


_REMOVED = (BINDING.kind, POLICY.kind, core_v1.CONFIG_MAP.kind)
