"""Values of expressions: plain JSON as it is, and a small class for each thing that JSON lacks.

Objects are never converted. Python would take `True` for 1 and 1.0; the language does not, so equality and everything
built on it goes through `equals`. Maps from JSON are dicts; a map whose keys are not all strings is a MixedMap, which
keeps `true` and 1 apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dabbawala.cel.errors import EvaluationError

SMALLEST_INT, LARGEST_INT, LARGEST_UINT = -(2**63), 2**63 - 1, 2**64 - 1
_ABSENT = object()


class Uint(int):
    """An unsigned number. It equals the int of the same value, and nothing mixes with it in arithmetic."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{int(self)}u"


class TypeValue:
    """What `type(x)` gives, and what `int` or `list` are when they stand alone."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TypeValue) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return self.name


class Optional:
    """A value that may be absent. Selecting from it gives an optional again, as `a.?b.c` needs."""

    __slots__ = ("value",)

    def __init__(self, value: Any = _ABSENT) -> None:
        self.value = value

    @property
    def present(self) -> bool:
        return self.value is not _ABSENT

    def __getitem__(self, key: Any) -> Optional:
        return NOTHING if self.value is _ABSENT else lookup(self.value, key)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Optional):
            return False
        return self.present == other.present and (not self.present or equals(self.value, other.value))

    __hash__ = None  # type: ignore[assignment]  # what it holds may be a list or a map

    def __repr__(self) -> str:
        return f"optional.of({self.value!r})" if self.present else "optional.none()"


NOTHING = Optional()


class MixedMap(Mapping[Any, Any]):
    """A map whose keys are not all strings."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Iterable[tuple[Any, Any]]) -> None:
        self._entries = {(type(key) is bool, key): (key, value) for key, value in entries}

    def __getitem__(self, key: Any) -> Any:
        return self._entries[type(key) is bool, key][1]

    def __contains__(self, key: object) -> bool:
        return (type(key) is bool, key) in self._entries

    def __iter__(self) -> Iterator[Any]:
        return (key for key, _ in self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)


def as_map(entries: list[tuple[Any, Any]]) -> Mapping[Any, Any]:
    """The map that a literal gives. Raises EvaluationError for a key that is there twice or can be none."""
    if all(type(key) is str for key, _ in entries):
        made: Mapping[Any, Any] = dict(entries)
    else:
        for key, _ in entries:
            if type(key) not in (str, int, bool, Uint):
                raise EvaluationError("unsupported key type")
        made = MixedMap(entries)
    if len(made) != len(entries):
        seen: list[Any] = []
        for key, _ in entries:
            if any(equals(key, other) for other in seen):
                raise EvaluationError(f"Failed with repeated key: {key}")
            seen.append(key)
    return made


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and value is not True and value is not False


def is_map(value: Any) -> bool:
    return isinstance(value, (dict, MixedMap))


def equals(left: Any, right: Any) -> bool:
    """Whether two values are the same: of one type, or numbers of one value; lists and maps by their parts."""
    kind = type(left)
    if kind is type(right):
        if kind is list:
            return len(left) == len(right) and all(map(equals, left, right))
        if kind is dict or kind is MixedMap:
            return _same_map(left, right)
        return bool(left == right)
    if is_number(left):
        return is_number(right) and bool(left == right)
    return is_map(left) and is_map(right) and _same_map(left, right)


def _same_map(left: Mapping[Any, Any], right: Mapping[Any, Any]) -> bool:
    return len(left) == len(right) and all(key in right and equals(value, right[key]) for key, value in left.items())


def contains(value: Any, inside: Any) -> bool:
    """`value in inside`: an element of a list, or a key of a map."""
    if type(inside) is list:
        if type(value) is str:
            return value in inside
        return any(equals(value, element) for element in inside)
    if type(inside) is dict:
        return type(value) is str and value in inside
    if isinstance(inside, MixedMap):
        return find_key(inside, value) is not _ABSENT
    raise EvaluationError("no such overload")


def find_key(entries: Any, key: Any) -> Any:
    """The value at a key of a map, or _ABSENT. A double finds the whole number that it equals."""
    if type(key) is float and key.is_integer():
        key = int(key)
    if type(key) not in (str, int, bool, Uint) or (type(entries) is dict and type(key) is not str):
        return _ABSENT
    return entries.get(key, _ABSENT)


def index(value: Any, key: Any) -> Any:
    """`value[key]`. Raises EvaluationError when there is no such element."""
    if type(value) is list:
        place = _place(key)
        if 0 <= place < len(value):
            return value[place]
        raise EvaluationError(f"index out of bounds: {place}")
    if isinstance(value, Optional):
        return value[key]
    found = find_key(value, key) if is_map(value) else _ABSENT
    if found is _ABSENT:
        raise EvaluationError(f"no such key: {text_of_key(key)}")
    return found


def _place(key: Any) -> int:
    if type(key) is float and key.is_integer():
        return int(key)
    if type(key) is int or type(key) is Uint:
        return int(key)
    raise EvaluationError(f"unsupported index type '{type_of(key).name}' in list")


def text_of_key(key: Any) -> str:
    return str(key).lower() if type(key) is bool else str(int(key)) if type(key) is Uint else str(key)


def select(value: Any, field: str) -> Any:
    """`value.field`. Raises EvaluationError."""
    if type(value) is dict and field in value:
        return value[field]
    return index(value, field)


def has(value: Any, field: str) -> bool:
    """`has(value.field)`. What has no fields has not this one; only a list cannot be asked, as in cel-go."""
    if type(value) is dict:
        return field in value
    return lookup(value, field).present


def lookup(value: Any, key: Any) -> Optional:
    """`value.?key` and `value[?key]`: the optional of what is there. Raises EvaluationError for a list and a text."""
    if isinstance(value, Optional):
        return NOTHING if value.value is _ABSENT else lookup(value.value, key)
    if type(value) is list:
        place = _place(key)
        return Optional(value[place]) if 0 <= place < len(value) else NOTHING
    found = find_key(value, key) if is_map(value) else _ABSENT
    return NOTHING if found is _ABSENT else Optional(found)


_TYPE_NAMES: dict[type, str] = {
    type(None): "null_type", bool: "bool", int: "int", Uint: "uint", float: "double", str: "string", bytes: "bytes",
    list: "list", dict: "map", MixedMap: "map", Optional: "optional_type", TypeValue: "type",
}  # fmt: skip


def type_of(value: Any) -> TypeValue:
    """The type of a value; classes of the library say theirs as `cel_type`."""
    name = _TYPE_NAMES.get(type(value)) or getattr(value, "cel_type", None)
    if name is None:
        raise EvaluationError(f"a value of Python's {type(value).__name__} has no type in the language")
    return TypeValue(name)


def signature(function: str, *arguments: Any) -> EvaluationError:
    """The error for arguments that no overload of a function takes."""
    return EvaluationError(f"no such overload: {function}({', '.join(type_of(value).name for value in arguments)})")


TYPE_IDENTS = {
    "bool": "bool", "int": "int", "uint": "uint", "double": "double", "string": "string", "bytes": "bytes",
    "list": "list", "map": "map", "null_type": "null_type", "type": "type", "optional_type": "optional_type",
    "google.protobuf.Timestamp": "google.protobuf.Timestamp", "google.protobuf.Duration": "google.protobuf.Duration",
}  # fmt: skip
