"""Fields against the kind's schema: unknown and duplicate ones, wrong types, the value rules of custom kinds.

A custom kind's wrong values are Invalid (422) with the rest of its validation; a built-in kind's wrong types cannot
even be decoded (400). Source: KEP-2885, apiextensions.
"""

from __future__ import annotations

from typing import Any

import orjson

from dabbawala.api.kind import Kind, schema_of
from dabbawala.apimachinery import meta, status, structural, structural_duplicates, structural_values
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import FieldError
from dabbawala.cluster.apiserver.core import Call

IGNORE, WARN, STRICT = "Ignore", "Warn", "Strict"
_MAX_WARNINGS = 50


def mode(call: Call) -> str:
    """`fieldValidation` of the query; Warn without one."""
    given = call.request.query.get("fieldValidation", WARN) if call.request.query.pairs else WARN
    if given not in (IGNORE, WARN, STRICT):
        wrong = status.not_supported("fieldValidation", given, ("", IGNORE, STRICT, WARN))
        raise status.invalid_object("CreateOptions", "", [wrong], group="meta.k8s.io")
    return given


def conform(call: Call, obj: Object, doubled: list[str]) -> None:
    """Make `obj`, in place, what the schema says. Unknown fields go, and are reported as the client asked, together
    with the `duplicates` of the request's body. Raises BadRequest or Invalid."""
    how = mode(call)
    problems = doubled
    node = schema_of(call.kind)
    if node is not None:
        findings = structural.conform(obj, node)
        if findings.mismatches:
            raise _mismatched(call.kind, obj, findings)
        if how != IGNORE:
            problems = [*doubled, *findings.warnings()]
    if problems and how == STRICT:
        raise structural.strict_error(call.kind.api_version, call.kind.kind, problems)
    known = call.request.warnings
    known += [problem for problem in problems[:_MAX_WARNINGS] if problem not in known]


def _mismatched(kind: Kind, obj: Object, findings: structural.Findings) -> status.StatusError:
    if kind.custom:
        return status.invalid_object(kind.kind, meta.name(obj), findings.field_errors(), group=kind.group)
    return structural.decode_error(kind.api_version, kind.kind, findings.mismatches[0])


def duplicates(call: Call, parsed: Any) -> list[str]:
    """Fields that the body names twice, unless the client does not care. `parsed` is what the body parsed to: a
    compact body that is as long as its parsed form has none, which saves nearly everybody the search."""
    body = call.request.body
    media = call.request.content_type
    if media in call.plugins.decoders or mode(call) == IGNORE:
        return []
    if "yaml" in media and not body.lstrip().startswith(b"{"):
        return structural_duplicates.in_yaml(body)
    if len(body.rstrip()) == len(orjson.dumps(parsed)):
        return []
    if "yaml" in media and not _is_json(body):
        return structural_duplicates.in_yaml(body)
    return structural_duplicates.in_json(body)


def _is_json(body: bytes) -> bool:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return True


def default(kind: Kind, obj: Object) -> None:
    """The kind's defaults, and for a custom kind those of its schema, in place."""
    if kind.custom:
        node = schema_of(kind)
        if node is not None:
            structural.default(obj, node)
    kind.default(obj)


def errors(kind: Kind, obj: Object) -> list[FieldError]:
    """What the value rules of a custom kind's schema refuse; built-in kinds have their own validation."""
    node = schema_of(kind) if kind.custom else None
    return structural_values.validate(obj, node) if node is not None else []
