"""What an object says in its own words: its strings, the numbers of cards and people in them, and the API version that
it was written for, which the one that it would be stored as has replaced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dabbawala.apimachinery import schema
from dabbawala.apimachinery.meta import Object
from dabbawala.cel.environment import Function
from dabbawala.cel.strings import matches
from dabbawala.guard import identifiers as numbers
from dabbawala.guard.resources import is_unknown_version, lifecycles, release, split
from dabbawala.guard.world import TYPE, World

TEXT_MAX = 256 * 1024
"""Characters of one string that are searched for numbers; what is longer is a program or an image."""

_BOOKKEEPING = frozenset(("managedFields", "uid", "resourceVersion", "selfLink"))
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def strings(obj: Mapping[str, Any]) -> list[Object]:
    """The strings of an object, each with its `path` and its `text`, without what the server writes for itself."""
    return [{"path": path, "text": text} for path, text in _strings(obj) if text]


def strings_like(obj: Mapping[str, Any], expression: str) -> list[Object]:
    """The `strings` of an object that a regular expression of CEL matches."""
    if not any(matches(text, expression) for text in _texts(obj)):
        return []
    return [found for found in strings(obj) if matches(found["text"], expression)]


def _texts(obj: Any) -> Iterator[str]:
    """All strings of an object, in no order: most objects have none that is looked for, and where it stood need not be
    told then."""
    left = [obj]
    while left:
        value = left.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)


def _strings(obj: Mapping[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    _collect(obj, "", found)
    return found


def _collect(value: Any, path: str, found: list[tuple[str, str]]) -> None:
    if isinstance(value, str):
        found.append((path, value))
    elif isinstance(value, dict):
        for key, item in value.items():
            if key != _APPLIED and not (path == "metadata" and key in _BOOKKEEPING):
                _collect(item, _entry(path, str(key)), found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _collect(item, f"{path}[{index}]", found)


def _entry(path: str, key: str) -> str:
    if not key.isidentifier():
        return f"{path}['{key}']"
    return f"{path}.{key}" if path else key


def identifiers(obj: Mapping[str, Any]) -> list[Object]:
    """Card numbers, Aadhaar, PAN and UPI ids in the strings of an object: `path`, `kind` and `masked`."""
    if not any(map(_may_hold, _texts(obj))):
        return []
    return [
        {"path": path, "kind": found.kind, "masked": found.masked}
        for path, text in _strings(obj)
        if _may_hold(text)
        for found in numbers.find(text, about=path)
    ]


def _may_hold(text: str) -> bool:
    return len(text) <= TEXT_MAX and numbers.POSSIBLE.search(text) is not None


def written(world: World, obj: Object) -> str:
    """The apiVersion that an object was written for; of a live one, that it is served as."""
    version, kind, metadata = str(obj["apiVersion"]), str(obj["kind"]), obj.get("metadata") or {}
    group, _ = split(version)
    item = world.inventory.get(kind, metadata.get("namespace") or "", metadata.get("name") or "", group=group)
    document = None if item is None else item.document
    return version if document is None else document.api_version


def lifecycle(world: World, api_version: str, kind: str) -> Object:
    """What has become of an API version by the release that the objects are for, or else the newest that is known:
    `state` (served, deprecated, removed, unknown), the `release` that began it, and the `replacement`, if there is
    one."""
    known = lifecycles().get((api_version, kind))
    if known is None:
        state = "unknown" if is_unknown_version(api_version, kind) else "served"
        return {"state": state, "release": "", "replacement": ""}
    target = world.inventory.resources.target or release(schema.kubernetes_version())
    state = known.state(target) if target is not None else "served"
    began = known.removed if state == "removed" else known.deprecated
    return {"state": state, "release": ".".join(map(str, began or ())), "replacement": known.replacement}


FUNCTIONS = (
    Function("strings", ("dyn",), "list<dyn>", strings),
    Function("stringsLike", ("dyn", "string"), "list<dyn>", strings_like),
    Function("identifiers", ("dyn",), "list<dyn>", identifiers),
    Function("written", (TYPE, "dyn"), "string", written, receiver=True),
    Function("lifecycle", (TYPE, "string", "string"), "map<string, string>", lifecycle, receiver=True),
)
