"""From the field that a finding names to the places that a fix is about: paths of keys and indices. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from dabbawala.apimachinery.meta import Object
from dabbawala.guard.fix.changes import Path
from dabbawala.guard.positions import Name, Part, parts

ANY = "*"
"""Stands in a path for each entry that is there."""

_CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")
_POD_SPECS = {
    "Pod": ("spec",),
    "PodTemplate": ("template", "spec"),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
}
_POD_SPEC = ("spec", "template", "spec")


def pod_spec(obj: Object) -> tuple[str, ...]:
    """Where an object has the spec of its pods."""
    return _POD_SPECS.get(str(obj.get("kind")), _POD_SPEC)


def resolve(obj: Any, path: Sequence[Part], here: Path = ()) -> Iterator[Path]:
    """The places that a path means. Fields may be absent, items of lists may not: they have no place then."""
    if not path:
        yield here
    elif path[0] == ANY:
        for key in _keys(obj):
            yield from resolve(obj[key], path[1:], (*here, key))
    elif isinstance(obj, list):
        index = path[0] if isinstance(path[0], int) else _named(obj, path[0])
        if index is not None and index < len(obj):
            yield from resolve(obj[index], path[1:], (*here, index))
    elif isinstance(obj, dict) or obj is None:
        known: Object = obj or {}
        if isinstance(path[0], int):
            return
        key, taken = _field(known, path)
        yield from resolve(known.get(key), path[taken:], (*here, key))


def _keys(obj: Any) -> Collection[str | int]:
    if isinstance(obj, dict):
        return obj.keys()
    return range(len(obj)) if isinstance(obj, list) else ()


def _field(obj: Object, path: Sequence[Part]) -> tuple[str, int]:
    """The key that a path goes on with, and how many of its parts that takes: a key with dots may stand there without
    quotes, and `containers[x]` may be any container of the pod."""
    if path[0] in _CONTAINER_LISTS and len(path) > 1 and isinstance(path[1], Name):
        lists = (str(path[0]), *_CONTAINER_LISTS)
        return next((key for key in lists if _named(obj.get(key), path[1]) is not None), str(path[0])), 1
    joined = ""
    for taken, part in enumerate(path, 1):
        if isinstance(part, str):
            joined = f"{joined}.{part}" if joined else part
        else:
            joined += f"[{text(part)}]"
        if joined in obj:
            return joined, taken
    return text(path[0]), 1


def text(part: Part) -> str:
    return part.name if isinstance(part, Name) else str(part)


def _named(items: Any, part: Part) -> int | None:
    if not isinstance(items, list):
        return None
    name = text(part)
    return next((at for at, item in enumerate(items) if isinstance(item, dict) and item.get("name") == name), None)


def value(obj: Any, path: Path, absent: Any = None) -> Any:
    """What stands at a place."""
    for part in path:
        if part not in _keys(obj):
            return absent
        obj = obj[part]
    return obj


def ends_with(field: str, pattern: Sequence[Part]) -> bool:
    """Whether a field's last parts are these."""
    last = parts(field)[-len(pattern) :]
    return len(last) == len(pattern) and all(
        wanted == ANY or text(part) == text(wanted) for part, wanted in zip(last, pattern, strict=True)
    )
