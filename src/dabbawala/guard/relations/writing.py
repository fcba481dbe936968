"""How an object is written: what its reader forgave, what a server would refuse, what comments say of values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Function
from dabbawala.guard import defaulting
from dabbawala.guard.documents import Document
from dabbawala.guard.languages import remarks, schedules
from dabbawala.guard.resources import split
from dabbawala.guard.world import TYPE, World

_REMARKED = re.compile(r"[ \t]#[^\n]*\d")
_SCHEDULE = "schedule"


def _document(world: World, obj: Mapping[str, Any]) -> Document | None:
    version, metadata = str(obj.get("apiVersion")), obj.get("metadata") or {}
    place = (str(obj.get("kind")), metadata.get("namespace") or "", metadata.get("name") or "")
    item = world.inventory.get(*place, group=split(version)[0]) or world.inventory.get(
        place[0], "", place[2], group=split(version)[0]
    )
    return None if item is None else item.document


def faults(world: World, obj: Mapping[str, Any], code: str) -> list[Object]:
    """What is wrong with how an object is written, of one sort (`unknown-field`, `wrong-type`, `invalid-value`,
    `duplicate-key`, `bad-definition`): `field` and `message`."""
    document = _document(world, obj)
    found = () if document is None else document.faults
    return [{"field": _field(p.place.field, p.place.line), "message": p.message} for p in found if p.code == code]


def _field(field: str, line: int) -> str:
    return field or f"lines[{line}]"


def refused(world: World, obj: Mapping[str, Any]) -> list[Object]:
    """Why an API server would not create the object, though it can read it: `field` and `message`. Of kinds that are
    declared; of what a cluster has, nothing."""
    document = _document(world, obj)
    if document is None or any(problem.code == "wrong-type" for problem in document.faults):
        return []
    return [{"field": field, "message": message} for field, message in defaulting.refused(dict(obj))]


def contradictions(world: World, obj: Mapping[str, Any]) -> list[Object]:
    """Values that the comment beside them says otherwise: `field` and `message`."""
    document = _document(world, obj)
    if document is None or document.origin is not None or not _REMARKED.search(document.source):
        return []
    return list(_contradictions(document))


def _contradictions(document: Document) -> Iterator[Object]:
    obj, place = document.object, document.placing()
    zone = _zone(obj)
    for path, name, value in remarks.leaves(obj):
        line = document.source_line(place(path).line)
        found = remarks.COMMENT.search(line) if "#" in line else None
        if found is None or not _holds(line[: found.start()], value):
            continue
        if name == _SCHEDULE:
            said = schedules.contradiction(value, zone, found[1])
            ran = f"runs at that time in {zone or schedules.parse(value)['zone'] or 'UTC'}"
        else:
            said, ran = remarks.contradiction(name, value, found[1]), "is what counts"
        if said:
            yield {"field": path, "message": f"the comment beside {name} says {said}, but {value} {ran}"}


def _holds(before: str, value: Any) -> bool:
    """Whether the value itself stands on the line, before its comment, and nothing else does."""
    text = before.rstrip().rstrip("\"'")
    return text.endswith(str(value)) or (isinstance(value, float | int) and bool(re.search(r"[\d.]\Z", text)))


def _zone(obj: Object) -> str:
    spec = obj.get("spec")
    return str(spec.get("timeZone") or "") if isinstance(spec, dict) else ""


FUNCTIONS = (
    Function("faults", (TYPE, "dyn", "string"), "list<dyn>", faults, receiver=True),
    Function("refused", (TYPE, "dyn"), "list<dyn>", refused, receiver=True),
    Function("contradictions", (TYPE, "dyn"), "list<dyn>", contradictions, receiver=True),
)
