"""Types as text: `int`, `list<string>`, `map<string, dyn>`, `kubernetes.Quantity`, `T` for a parameter.

The front end takes them as a tree in its configuration and gives them back on the wire; variables are declared with
them, and the compiler decides by them which operations need no look at the value.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from dabbawala.cel.wire import fields

_PRIMITIVE = {1: "bool", 2: "int", 3: "uint", 4: "double", 5: "string", 6: "bytes"}
_WELL_KNOWN = {1: "any", 2: "timestamp", 3: "duration"}
_DYN, _NULL, _PRIM, _WRAPPER, _WELL, _LIST, _MAP, _MESSAGE, _PARAM, _TYPE, _ABSTRACT = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    9,
    10,
    11,
    14,
)
# Names that are shorter here than on the wire.
_NAMES = {
    "timestamp": "google.protobuf.Timestamp",
    "duration": "google.protobuf.Duration",
    "quantity": "kubernetes.Quantity",
    "authorizer": "kubernetes.authorization.Authorizer",
    "path_check": "kubernetes.authorization.PathCheck",
    "group_check": "kubernetes.authorization.GroupCheck",
    "resource_check": "kubernetes.authorization.ResourceCheck",
    "decision": "kubernetes.authorization.Decision",
}


def declaration(text: str) -> dict[str, Any]:
    """The type as the front end's configuration writes it. A single capital letter is a type parameter."""
    name, _, inside = text.strip().partition("<")
    if len(name) == 1 and name.isupper():
        return {"type_name": name, "is_type_param": True}
    tree: dict[str, Any] = {"type_name": _NAMES.get(name, name)}
    parameters = split(inside.removesuffix(">")) if inside else ["dyn"] * {"list": 1, "map": 2}.get(name, 0)
    if parameters:
        tree["params"] = [declaration(parameter) for parameter in parameters]
    return tree


def split(text: str) -> list[str]:
    """The parameters between the outermost commas."""
    found, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "<") - (letter == ">")
        if letter == "," and depth == 0:
            found.append(text[start:place])
            start = place + 1
    return [*found, text[start:]]


@lru_cache(maxsize=4096)
def from_wire(data: bytes) -> str:
    """The text of a `cel.expr.Type` message."""
    found = fields(data)
    number: int = next(iter(found), _DYN)
    value: Any = found[number][0] if found else 0
    if number in (_PRIM, _WRAPPER):
        return _PRIMITIVE.get(value, "dyn")
    if number == _WELL:
        return _WELL_KNOWN.get(value, "dyn")
    if number in (_LIST, _MAP):
        inner = fields(value)
        parameters = [from_wire(inner[part][0]) if part in inner else "dyn" for part in (1, 2)[: number - 5]]
        return f"{'list' if number == _LIST else 'map'}<{', '.join(parameters)}>"
    if number == _ABSTRACT:
        inner = fields(value)
        name = str(inner[1][0], "utf-8")
        return f"{name}<{', '.join(map(from_wire, inner[2]))}>" if 2 in inner else name
    if number in (_MESSAGE, _PARAM):
        return str(value, "utf-8") if number == _MESSAGE else "dyn"
    return {_NULL: "null", _TYPE: "type"}.get(number, "dyn")


def is_plain(text: str) -> bool:
    """Whether the front end reads the type from a text; others it takes only in its configuration."""
    return not any(odd in text for odd in ("optional_type", "null", "type"))


def signature(text: str) -> str:
    """The type as the front end reads it for a variable."""
    name, _, inside = text.strip().partition("<")
    if not inside:
        return {"list": "list<dyn>", "map": "map<dyn, dyn>"}.get(name) or _NAMES.get(name, name)
    return f"{_NAMES.get(name, name)}<{', '.join(map(signature, split(inside.removesuffix('>'))))}>"


def head(text: str) -> str:
    """The type without its parameters."""
    return text.partition("<")[0]
