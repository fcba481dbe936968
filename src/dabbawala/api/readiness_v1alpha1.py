"""Kinds of the group readiness.dabbawala.dev, v1alpha1: dated evidence that a service may go to production.

Evidence lives beside the service, in its namespace, and is append-only: a record never changes, each names the hash of
the one before, and whoever deletes one leaves a gap that every later look sees. What is hashed and signed is written
down in `dabbawala.readiness`; here is its form. Source: docs/readiness.md, "Evidence".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dabbawala.api import cells, object_meta
from dabbawala.api.kind import Column, Kind
from dabbawala.apimachinery import clock, meta, status
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import FieldError

GROUP = "readiness.dabbawala.dev"
MEASUREMENT, RECORD, ATTESTATION, IMPORTED = "measurement", "record", "attestation", "imported"
TYPES = (MEASUREMENT, RECORD, ATTESTATION, IMPORTED)
RESULTS = ("pass", "warn", "fail")
DETAILS_MAX = 32
SUBJECTS_MAX = 64

_HASH = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$", "maxLength": 71}
_WORD = {"type": "string", "minLength": 1, "maxLength": 253}
_TEXT = {"type": "string", "maxLength": 1024}
_TIME = {"type": "string", "minLength": 20, "maxLength": 32}

_SUBJECT = {
    "type": "object",
    "required": ["name", "hash"],
    "properties": {"name": {**_WORD, "description": "Such as an image, or a file."}, "hash": _HASH},
}
_SPEC = {
    "type": "object",
    "required": ["service", "item", "type", "result", "observedAt", "expires", "source", "sequence", "hash"],
    "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "evidence never changes; append a newer one"}],
    "properties": {
        "service": {**_WORD, "maxLength": 63, "description": "The service that it is about."},
        "item": {**_WORD, "description": "The item of the check or of the go-live list that it is about."},
        "type": {
            "type": "string",
            "enum": list(TYPES),
            "description": "measurement: a tool measured it; record: a system kept it; attestation: a person answers "
            "for it; imported: somebody outside measured and signed it.",
        },
        "result": {"type": "string", "enum": list(RESULTS)},
        "observedAt": {**_TIME, "description": "When it was so: RFC 3339."},
        "expires": {**_TIME, "description": "The instant from which it counts no more: RFC 3339."},
        "source": {
            "type": "object",
            "required": ["tool"],
            "properties": {"tool": _WORD, "version": {"type": "string", "maxLength": 63}},
        },
        "owner": {**_TEXT, "description": "Who answers for it. An attestation must name somebody."},
        "statement": {**_TEXT, "description": "What is said, in a sentence."},
        "details": {
            "type": "object",
            "maxProperties": DETAILS_MAX,
            "additionalProperties": _TEXT,
            "description": "Numbers and names, as text, such as p95Milliseconds.",
        },
        "subjects": {"type": "array", "maxItems": SUBJECTS_MAX, "items": _SUBJECT},
        "documentHash": {**_HASH, "description": "Of the document that backs it."},
        "sequence": {"type": "integer", "minimum": 1, "description": "Its place in the service's chain."},
        "previous": {**_HASH, "description": "The hash of the one before; absent in the first."},
        "hash": {**_HASH, "description": "Of all the rest of this spec and of the namespace, as canonical JSON."},
        "signature": {
            "type": "object",
            "required": ["key", "value"],
            "properties": {
                "key": {**_WORD, "description": "The name of the public key."},
                "value": {"type": "string", "maxLength": 128, "description": "Ed25519, in base64."},
            },
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


def name_of(service: str, sequence: int) -> str:
    """The name of a record: two writers of the same place in the chain cannot both succeed."""
    return f"{service}-{sequence:06d}"


def _rules(new: Object, old: Object | None) -> Iterator[FieldError]:
    spec = new.get("spec") or {}
    if old is not None:
        if spec != old.get("spec"):
            yield status.forbidden("spec", "evidence never changes; append a newer one with `dabba readiness`")
        return
    wanted = name_of(str(spec.get("service", "")), int(spec.get("sequence") or 0))
    if meta.name(new) not in ("", wanted):
        yield status.invalid("metadata.name", meta.name(new), f"must be {wanted}: the service and the sequence")
    yield from _times(spec)
    if (spec.get("sequence") == 1) == bool(spec.get("previous")):
        yield status.invalid("spec.previous", spec.get("previous") or "", "must be given but in the first of a chain")
    if spec.get("type") == ATTESTATION:
        for field in ("owner", "documentHash"):
            if not spec.get(field):
                yield status.required(f"spec.{field}", "an attestation names who answers for it, and its document")
    if spec.get("type") == IMPORTED and not spec.get("signature"):
        yield status.required("spec.signature", "imported evidence is signed by whoever measured it")


def _times(spec: Object) -> Iterator[FieldError]:
    moments = []
    for field in ("observedAt", "expires"):
        try:
            moments.append(clock.parse_time(str(spec.get(field))))
        except ValueError:
            yield status.invalid(f"spec.{field}", spec.get(field), "write RFC 3339, such as 2026-12-31T00:00:00Z")
    if len(moments) == 2 and moments[1] <= moments[0]:
        yield status.invalid("spec.expires", spec["expires"], "must be later than observedAt")


EVIDENCE = Kind(
    group=GROUP, version="v1alpha1", kind="Evidence", plural="evidences", custom=True,
    open_api=_schema, validate=object_meta.validate(_rules, custom=True),
    columns=(
        cells.NAME,
        Column("Item", path=".spec.item", description="What it is about"),
        Column("Type", path=".spec.type", description="Who says so"),
        Column("Result", path=".spec.result", description="What it says"),
        Column("Observed", path=".spec.observedAt", description="When it was so"),
        Column("Expires", path=".spec.expires", description="When it ends"),
        Column("Key", path=".spec.signature.key", priority=1, description="Who signed it"),
        cells.AGE,
    ),
)  # fmt: skip

KINDS = (EVIDENCE,)
