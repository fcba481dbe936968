"""Expressions of a policy against the schemas of the kinds that it is about: fields that no such object has.

A policy that fails here is stored and enforced all the same; what is found is a warning, shown in its status. Without
this, `object.spec.replica` is an error of every request, found by the first who makes one.

Source: apiserver/pkg/admission/plugin/policy/validating/typechecking.go, pkg/cel/common/schemas.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from dabbawala.apimachinery import schema as schemas
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.schema import Schema
from dabbawala.cel.environment import Environment
from dabbawala.cel.errors import CompileError
from dabbawala.cel.messages import Fields, Types
from dabbawala.policy import declared
from dabbawala.policy.expressions import AUTHORIZER, REQUEST_RESOURCE, VARIABLES, located

MAX_KINDS = 10
"""Of one policy that are looked at."""
_IDENTIFIER = re.compile(r"[a-zA-Z_]\w*", re.ASCII)
_TIMES = frozenset({schemas.TIME, schemas.MICRO_TIME})
_SCALARS = {"string": "string", "boolean": "bool", "integer": "int", "number": "double"}
_PACKAGE = "kubernetes."


class Typed(NamedTuple):
    """A kind with its schema."""

    group: str
    version: str
    kind: str
    schema: Schema

    def __str__(self) -> str:
        return f"{self.group}/{self.version}, Kind={self.kind}"


def resources(policy: Object) -> Iterator[tuple[str, str, str]]:
    """Group, version and resource of all that the rules name without a wildcard, sorted, each once."""
    constraints = (policy.get("spec") or {}).get("matchConstraints") or {}
    named = set()
    for rule in constraints.get("resourceRules") or ():
        groups, versions = rule.get("apiGroups") or (), rule.get("apiVersions") or ()
        if "*" in groups or "*" in versions:
            continue
        plain = [item for item in rule.get("resources") or () if "*" not in item and "/" not in item]
        named |= {(group, version, item) for group in groups for version in versions for item in plain}
    yield from sorted(named)


def warnings(policy: Object, kinds: Iterable[Typed], params: Schema | None = None) -> list[Object]:
    """The `expressionWarnings` of the policy's status. `params` is the schema of its parameters, where it is known."""
    found: dict[str, list[str]] = {}
    for typed in list(kinds)[:MAX_KINDS]:
        for path, problem in _problems(policy.get("spec") or {}, typed.schema, params):
            found.setdefault(path, []).append(f"{typed}: {problem}\n")
    return [{"fieldRef": path, "warning": "\n".join(told)} for path, told in found.items()]


def _problems(spec: Object, schema: Schema, params: Schema | None) -> Iterator[tuple[str, str]]:
    types, kind, parameter = _types(schema, params)
    names = {
        "object": kind, "oldObject": kind, "request": declared.REQUEST, "namespaceObject": declared.NAMESPACE,
        AUTHORIZER: "authorizer", REQUEST_RESOURCE: "resource_check",
    }  # fmt: skip
    if spec.get("paramKind") is not None:
        names["params"] = parameter
    environment = Environment(names, version=schemas.kubernetes_version().rpartition(".")[0], types=types)
    for index, variable in enumerate(spec.get("variables") or ()):
        result, problem = _check(environment, variable.get("expression") or "")
        if problem:
            yield f"spec.variables[{index}].expression", problem
        environment = environment.extended(VARIABLES + (variable.get("name") or ""), result)
    for index, validation in enumerate(spec.get("validations") or ()):
        for part in ("expression", "messageExpression"):
            problem = _check(environment, validation[part])[1] if validation.get(part) else ""
            if problem:
                yield f"spec.validations[{index}].{part}", problem


def _check(environment: Environment, source: str) -> tuple[str, str]:
    """The type of the expression, and what is wrong with it."""
    try:
        return environment.compile(source).result_type, ""
    except CompileError as error:
        return "dyn", located(error)


# Types from schemas --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _types(schema: Schema, params: Schema | None) -> tuple[Types, str, str]:
    """All types that the two schemas need, and the two schemas' own."""
    made = _Messages()
    kind, parameter = made.type_of(schema), made.type_of(params) if params is not None else "dyn"
    return Types({**declared.MESSAGES, **made.messages}), kind, parameter


@dataclass(slots=True)
class _Messages:
    messages: dict[str, Fields] = field(default_factory=dict)
    _named: dict[str, str] = field(default_factory=dict)

    def type_of(self, schema: Schema) -> str:
        if schema.name in _TIMES or schema.format == "date-time":
            return "timestamp"
        if (
            schema.int_or_string
            or schema.preserve_unknown
            or schema.name == schemas.QUANTITY
            or schema.format == "byte"
        ):
            return "dyn"
        if schema.properties:
            return self._message(schema)
        if schema.additional_properties is not None:
            return f"map<string, {self.type_of(schema.additional_properties)}>"
        if schema.type == "array":
            return f"list<{self.type_of(schema.items)}>" if schema.items is not None else "list"
        return _SCALARS.get(schema.type, "dyn")

    def _message(self, schema: Schema) -> str:
        """A definition that refers to itself is one type."""
        if schema.name in self._named:
            return self._named[schema.name]
        last = schema.name.rpartition(".")[2] or "Object"
        name = _PACKAGE + last
        if name in self.messages or name in declared.MESSAGES:
            name += str(len(self.messages))
        if schema.name:
            self._named[schema.name] = name
        fields: dict[str, str] = {}
        self.messages[name] = fields
        fields.update(self._fields(schema.properties))
        return name

    def _fields(self, properties: Mapping[str, Schema]) -> Iterator[tuple[str, str]]:
        for name, child in properties.items():
            if _IDENTIFIER.fullmatch(name):
                yield name, self.type_of(child)
