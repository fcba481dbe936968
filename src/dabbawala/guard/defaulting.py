"""What the API server makes of an object before it asks policies: its schema applied, its defaults filled in.

Policies judge what would be stored, not what was written: a pod without a restart policy has one by then. So every
scan goes through here. Fields that the schema does not know are dropped, as the server drops them, and reported, as
strict field validation does; so are values of the wrong type. Kinds that are declared nowhere stay as they are. Pure.
Source: KEP-2885, guard's parity list (defaulting, conversion to the served version).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import orjson

from dabbawala.api import kinds
from dabbawala.api.kind import Kind, schema_of
from dabbawala.apimachinery import schema, structural, structural_values
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.schema import Schema
from dabbawala.apimachinery.status import BadRequest, FieldError
from dabbawala.guard.checks import POLICY_KIND
from dabbawala.guard.documents import Document
from dabbawala.guard.findings import Problem
from dabbawala.guard.resources import Resource, Resources, lifecycles, split

DEFAULT_NAMESPACE = "default"
_SOME_UID = "00000000-0000-0000-0000-000000000000"  # a selector of Jobs is made of it
PROBLEMS_MAX = 20
"""Problems of each sort that are reported of one object."""
_FAULTS_MAX = 10
"""Expressions of one policy that are told as not compiling: together they must fit into one message."""
_FAULT_CHARS_MAX = 400
"""What is told of one of them; a compiler repeats the source."""

# Kinds whose old versions differ from today's in no field that anybody reads: they are judged as today's.
_SAME_SHAPE = frozenset(
    (
        "Deployment", "DaemonSet", "ReplicaSet", "StatefulSet", "CronJob", "PodDisruptionBudget", "NetworkPolicy",
        "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "PriorityClass", "StorageClass", "RuntimeClass",
        "IngressClass", "Lease", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "HorizontalPodAutoscaler",
    )
)  # fmt: skip
_OTHER_SHAPE = frozenset(("autoscaling/v2beta1",))
_BROKEN = (AttributeError, TypeError, ValueError, KeyError, IndexError, RecursionError)


class Prepared(NamedTuple):
    """An object as it would be stored, and what is wrong with it. `object` is None where nothing can be made of it.
    `valid` says that the server would decode it under strict field validation."""

    object: Object | None
    resource: Resource
    problems: list[Problem]

    @property
    def valid(self) -> bool:
        return not self.problems


class Preparation:
    """Prepares the objects of one scan, by what everybody knows and what the scan's own definitions say."""

    def __init__(self, definitions: Iterable[Object] = (), *, namespace: str = DEFAULT_NAMESPACE) -> None:
        self.resources = Resources()
        self._namespace = namespace
        self._schemas: dict[tuple[str, str], Schema] = {}
        for definition in definitions:
            self.define(definition)

    def define(self, definition: Object) -> None:
        """Learn a CustomResourceDefinition; anything else is ignored."""
        self.resources.define(definition)
        for version, kind, open_api in _versions(definition):
            self._schemas[version, kind] = schema.from_open_api(open_api)

    def prepare(self, document: Document) -> Prepared:
        """Of a document that `is_object`. The document's own object is left alone."""
        obj = document.copy()
        resource = self.resources.of(obj["apiVersion"], obj["kind"])
        problems = list(_misshapen(obj, document))
        kind = served(obj)
        node = self._schema(obj, kind)
        if node is not None:
            problems += self._conform(obj, node, document)
        if not self._default(obj, kind, node, trusted=not problems):
            return Prepared(None, resource, problems)
        if resource.namespaced and not resource.guessed:
            metadata = obj.setdefault("metadata", {})
            metadata["namespace"] = metadata.get("namespace") or self._namespace
        return Prepared(obj, self.resources.of(obj["apiVersion"], obj["kind"]), problems)

    def _schema(self, obj: Object, kind: Kind | None) -> Schema | None:
        version, name = obj["apiVersion"], obj["kind"]
        defined = self._schemas.get((version, name))
        if defined is not None:
            return defined
        if kind is not None:
            return schema_of(kind)
        definition = schema.definition_of(*split(version), name)
        return schema.builtin(definition) if definition else None

    def _conform(self, obj: Object, node: Schema, document: Document) -> list[Problem]:
        try:
            found = structural.conform(obj, node)
            values = structural_values.validate(obj, node) if node.custom and not found.mismatches else []
        except _BROKEN as wrong:
            if not node.custom:
                raise
            message = f"the definition of {obj['kind']} cannot be used: {wrong}"
            return [_problem(document, "kind", "bad-definition", message, "Correct the CustomResourceDefinition.")]
        unknown = [_unknown(path, obj, document) for path in found.unknown[:PROBLEMS_MAX]]
        mismatched = [_mismatched(mismatch, document) for mismatch in found.mismatches[:PROBLEMS_MAX]]
        invalid = [
            _problem(document, error.field, "invalid-value", f"{error.field}: {error.message}", "Correct the value.")
            for error in values[:PROBLEMS_MAX]
        ]
        return unknown + mismatched + invalid

    def _default(self, obj: Object, kind: Kind | None, node: Schema | None, *, trusted: bool) -> bool:
        """Whether the object could be defaulted. One with values of the wrong type may have no place for defaults."""
        try:
            if node is not None and node.custom:
                structural.default(obj, node)
            if kind is not None:
                kind.default(obj)
        except _BROKEN:
            if trusted:
                raise
            return False
        return True


def refusals(document: Document, prepared: Prepared) -> list[Problem]:
    """Why the API server would not create an object that it can decode: fields that are required, values that are out
    of their range. Of kinds that are declared only."""
    if prepared.object is None or any(problem.code == "wrong-type" for problem in prepared.problems):
        return []
    remedy = "Correct the field; nothing is created until then."
    return [_problem(document, field, "refused", message, remedy) for field, message in refused(prepared.object)]


def refused(prepared: Object) -> list[tuple[str, str]]:
    """As `refusals`, of an object as it would be stored: fields and sentences."""
    kind = kinds.of(prepared["apiVersion"], prepared["kind"])
    if kind is None:
        return []
    obj: Object = orjson.loads(orjson.dumps(prepared))
    metadata = obj["metadata"]
    metadata["uid"] = metadata.get("uid") or _SOME_UID
    if metadata.get("generateName"):
        metadata["name"] = metadata.get("name") or f"{metadata['generateName']}xxxxx"
    kind.prepare(obj, None)
    errors: list[FieldError] = kind.validate(obj, None)[:PROBLEMS_MAX]
    found = [(error.field, error.message) for error in errors]
    if not found and kind.kind == POLICY_KIND:
        found = _uncompiled(obj)
    return [(field, f"the API server refuses it: {field}: {message}") for field, message in found]


def _uncompiled(policy: Object) -> list[tuple[str, str]]:
    """The expressions of a policy that do not compile: fields and messages."""
    from dabbawala.policy.admission import CompiledPolicy  # few scans hold policies

    try:
        faults = CompiledPolicy.of(policy).faults[:_FAULTS_MAX]
    except BadRequest as wrong:
        return [("spec.matchConstraints", str(wrong))]
    return [(fault.path, " ".join(fault.message.split())[:_FAULT_CHARS_MAX]) for fault in faults]


def served(obj: Object) -> Kind | None:
    """The kind of an object. One of an old API version of the same shape becomes today's, in place, as a server that
    still knew the version would store it."""
    version, name = obj["apiVersion"], obj["kind"]
    kind = kinds.of(version, name)
    if kind is not None or name not in _SAME_SHAPE or version in _OTHER_SHAPE:
        return kind
    lifecycle = lifecycles().get((version, name))
    if lifecycle is None or not lifecycle.replacement:
        return None
    obj["apiVersion"] = lifecycle.replacement
    return kinds.of(lifecycle.replacement, name)


def _misshapen(obj: Object, document: Document) -> Iterator[Problem]:
    """What no object may be, whatever its kind. Everything else relies on names and labels, which are made text."""
    metadata = obj.get("metadata")
    if metadata is None:
        obj["metadata"] = {}
        return
    remedy = "Give metadata a name, and labels and annotations that are text."
    if not isinstance(metadata, dict):
        yield _problem(document, "metadata", "wrong-type", "metadata must be fields, not a single value", remedy)
        obj["metadata"] = {}
        return
    for field in ("name", "namespace", "generateName"):
        if not isinstance(metadata.get(field), str | None):
            message = f"metadata.{field} must be text, not {metadata[field]!r}; put it into quotes"
            yield _problem(document, f"metadata.{field}", "wrong-type", message, remedy)
            metadata[field] = _as_text(metadata[field])
    for field in ("labels", "annotations"):
        yield from _not_text(metadata, field, document, remedy)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _not_text(metadata: Object, field: str, document: Document, remedy: str) -> Iterator[Problem]:
    found = metadata.get(field)
    if not isinstance(found, dict | None):
        yield _problem(document, f"metadata.{field}", "wrong-type", f"metadata.{field} must be fields", remedy)
        del metadata[field]
        return
    for key, value in list((found or {}).items()):
        if not isinstance(value, str | None):
            metadata[field][key] = _as_text(value)
            message = f"metadata.{field}: {key} must be text, not {value!r}; put it into quotes"
            yield _problem(document, f"metadata.{field}[{key!r}]", "wrong-type", message, remedy)


def _versions(definition: Object) -> Iterator[tuple[str, str, Object]]:
    spec = definition.get("spec")
    if definition.get("kind") != "CustomResourceDefinition" or not isinstance(spec, dict):
        return
    names, versions = spec.get("names"), spec.get("versions")
    if not isinstance(names, dict) or not isinstance(versions, list):
        return
    for version in versions:
        given = version.get("schema") if isinstance(version, dict) else None
        open_api = given.get("openAPIV3Schema") if isinstance(given, dict) else None
        if isinstance(open_api, dict):
            yield f"{spec.get('group')}/{version.get('name')}", str(names.get("kind")), open_api


def _unknown(path: str, obj: Object, document: Document) -> Problem:
    message = f"{obj['kind']} {obj['apiVersion']} has no field {path}: the server drops it, or refuses the object"
    return _problem(document, path, "unknown-field", message, "Remove the field, or correct its name or its place.")


def _mismatched(mismatch: structural.Mismatch, document: Document) -> Problem:
    said = mismatch.problem or f"{mismatch.path} must be {mismatch.wanted}, not {_shown(mismatch.value)}"
    remedy = "Put the value into quotes." if mismatch.wanted == "string" else "Correct the value or the indentation."
    return _problem(document, mismatch.path, "wrong-type", said, remedy)


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "fields" if isinstance(value, dict) else "a list"
    return f"{structural.type_name(value)} {orjson.dumps(value).decode()[:40]}"


def _problem(document: Document, path: str, code: str, message: str, remedy: str) -> Problem:
    return Problem(document.place(path), code, message, remedy)
