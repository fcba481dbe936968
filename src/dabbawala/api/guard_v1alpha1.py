"""Kinds of the group guard.dabbawala.dev, v1alpha1: our own, because the field has none that mean the same in a
scan, over a running cluster and at admission.

Source: docs/guard-enforce.md, "Exceptions".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dabbawala.api import cells, object_meta
from dabbawala.api.kind import Column, Kind
from dabbawala.apimachinery import clock, selectors, status
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import BadRequest, FieldError

GROUP = "guard.dabbawala.dev"
YEAR_MAX = 2999
"""The last year in which an exception may end."""

_STRINGS = {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 64}
_SELECTOR = {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"}
_TEXT = {"type": "string", "minLength": 1, "maxLength": 1024}

_MATCH = {
    "type": "object",
    "description": "Which objects; all that is given must hold. A name or namespace may end in *.",
    "properties": {"kinds": _STRINGS, "namespaces": _STRINGS, "names": _STRINGS, "selector": _SELECTOR},
}
_SPEC = {
    "type": "object",
    "required": ["checks", "match", "reason", "owner", "ticket", "expires"],
    "properties": {
        "checks": {**_STRINGS, "minItems": 1, "description": "Ids of checks, such as WL-27."},
        "match": _MATCH,
        "reason": {**_TEXT, "description": "Why the finding is accepted."},
        "owner": {**_TEXT, "description": "Who answers for it."},
        "ticket": {**_TEXT, "description": "Where it was decided."},
        "expires": {
            "type": "string",
            "description": "The instant from which it counts no more: RFC 3339, or a date, which means its end in UTC.",
        },
    },
}


def _schema() -> Mapping[str, object]:
    properties = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": _SPEC,
    }
    return {"type": "object", "required": ["spec"], "properties": properties}


def _rules(new: Object, old: Object | None) -> Iterator[FieldError]:
    spec = new.get("spec") or {}
    expires = str(spec.get("expires", ""))
    try:
        end = clock.parse_time(expires if "T" in expires else f"{expires}T00:00:00Z")
    except ValueError:
        yield status.invalid("spec.expires", expires, "write a date such as 2026-12-31, or RFC 3339")
    else:
        if end.year > YEAR_MAX:
            yield status.invalid("spec.expires", expires, "an end so far away is none; name one that you mean")
    match = spec.get("match") or {}
    if not any(match.values()):
        yield status.required(
            "spec.match", "an exception for everything is none; name kinds, namespaces, names or labels"
        )
    try:
        selectors.from_label_selector(match.get("selector"))
    except BadRequest as wrong:
        yield status.invalid("spec.match.selector", "object", str(wrong))
    for field in ("namespaces", "names"):
        for index, value in enumerate(match.get(field) or ()):
            if "*" in value[:-1] or value == "*":
                yield status.invalid(f"spec.match.{field}[{index}]", value, "* may only stand at the end of a name")


POLICY_EXCEPTION = Kind(
    group=GROUP, version="v1alpha1", kind="PolicyException", plural="policyexceptions", namespaced=False, custom=True,
    open_api=_schema, validate=object_meta.validate(_rules, custom=True),
    columns=(
        cells.NAME,
        Column("Checks", path=".spec.checks", description="What it excepts from"),
        Column("Owner", path=".spec.owner", description="Who answers for it"),
        Column("Expires", path=".spec.expires", description="When it ends"),
        cells.AGE,
    ),
)  # fmt: skip

KINDS = (POLICY_EXCEPTION,)
