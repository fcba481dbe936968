"""Evidence as a value: what a record says, what of it is signed, and what of it is hashed into the chain.

The *content* (what was found, by whom, when, for which service) is signed by whoever found it, before it is anywhere in
a chain. The *link* (sequence, previous) is made when it is appended. The hash covers both, and the signature too; so a
record can be neither altered, nor moved to another service, nor put elsewhere in the chain.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dabbawala.api import readiness_v1alpha1
from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.readiness import canonical

CONTENT = (
    "service", "item", "type", "result", "observedAt", "expires", "source", "owner", "statement", "details",
    "subjects", "documentHash",
)  # fmt: skip
CLOCK_SKEW = timedelta(minutes=5)
"""How far in the future a record may have been observed: clocks differ."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One record. `spec` is the object's, as it is."""

    namespace: str
    name: str
    spec: Mapping[str, Any]

    @classmethod
    def of(cls, obj: Object) -> Evidence:
        return cls(meta.namespace(obj), meta.name(obj), obj.get("spec") or {})

    def __str__(self) -> str:
        return f"Evidence {self.namespace}/{self.name}"

    @property
    def service(self) -> str:
        return str(self.spec.get("service", ""))

    @property
    def item(self) -> str:
        return str(self.spec.get("item", ""))

    @property
    def type(self) -> str:
        return str(self.spec.get("type", ""))

    @property
    def result(self) -> str:
        return str(self.spec.get("result", ""))

    @property
    def sequence(self) -> int:
        return int(self.spec.get("sequence") or 0)

    @property
    def previous(self) -> str:
        return str(self.spec.get("previous") or "")

    @property
    def hash(self) -> str:
        return str(self.spec.get("hash", ""))

    @property
    def observed_at(self) -> datetime:
        return clock.parse_time(str(self.spec["observedAt"]))

    @property
    def expires(self) -> datetime:
        return clock.parse_time(str(self.spec["expires"]))

    @property
    def details(self) -> Mapping[str, str]:
        return self.spec.get("details") or {}

    @property
    def tool(self) -> str:
        source = self.spec.get("source") or {}
        return f"{source.get('tool', '')} {source.get('version', '')}".strip()

    def number(self, field: str) -> float | None:
        """A number among the details; None when it is absent or none: what is no number is under every limit."""
        try:
            found = float(self.details[field])
        except (KeyError, ValueError):
            return None
        return found if math.isfinite(found) else None


def content(namespace: str, spec: Mapping[str, Any]) -> Object:
    """What the signature covers."""
    return {"namespace": namespace, **{field: spec[field] for field in CONTENT if spec.get(field)}}


def link_hash(namespace: str, spec: Mapping[str, Any]) -> str:
    """What `spec.hash` must be."""
    rest = {field: value for field, value in spec.items() if field != "hash"}
    return canonical.digest({"namespace": namespace, "spec": rest})


def appended(obj: Object, last: Evidence | None) -> Object:
    """The object as the next record after `last` of its service's chain."""
    namespace = meta.namespace(obj)
    spec = {name: value for name, value in obj["spec"].items() if name not in ("sequence", "previous", "hash")}
    spec["sequence"] = 1 if last is None else last.sequence + 1
    if last is not None:
        spec["previous"] = last.hash
    spec["hash"] = link_hash(namespace, spec)
    kind = readiness_v1alpha1.EVIDENCE
    name = readiness_v1alpha1.name_of(str(spec["service"]), spec["sequence"])
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
