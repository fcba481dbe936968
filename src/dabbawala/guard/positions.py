"""Where a field of an object is written: from `spec.containers[web].image` to a line and a column.

A layout is what is left of a YAML or JSON document once its value is built: for every value, in the order in which it
was written, where its key and itself begin, where it ends, and how many rows belong to it. That is a hundredth of a
node tree, so that positions of 10,000 objects fit into memory; lines are counted when somebody asks for one. Pure.
"""

from __future__ import annotations

import marshal
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from dabbawala.guard.heap import Heap


class Merge:
    """The type of `MERGE`: the key `<<`, whose value's fields are the mapping's own."""

    def __repr__(self) -> str:
        return "MERGE"


MERGE = Merge()
Key = str | Merge | None
_BLOCK = 16 * 1024
_CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")
_PART = re.compile(r"""\[(\d+)\]|\[(['"])(.*?)\2\]|\[([^\]]*)\]|([^.\[]+)""")


class Position(NamedTuple):
    """Lines and columns count from 1; the end is behind the last character. `exact` is False where the field is not
    written and this is the nearest thing around it that is."""

    line: int
    column: int
    end_line: int
    end_column: int
    exact: bool = True


class Text:
    """The text of a file. Lines are counted from marks that lie a block apart, so that neither a file of newlines nor
    one of ten thousand findings costs much."""

    __slots__ = ("_above", "_content", "_heap", "_number")

    def __init__(self, content: str) -> None:
        self._content: str | None = content
        self._above: list[int] | None = None
        self._heap: Heap | None = None
        self._number = 0

    @property
    def content(self) -> str:
        if self._content is not None:
            return self._content
        assert self._heap is not None
        return self._heap.get(self._number).decode("utf-8", "surrogatepass")

    def pack(self, heap: Heap) -> None:
        """Keep a short text there: a long one takes too long to be decoded each time."""
        if self._content is not None and len(self._content) <= _BLOCK:
            self._heap, self._number = heap, heap.put(self._content.encode("utf-8", "surrogatepass"))
            self._content = None

    def sent(self) -> str | int:
        """What another process makes it of: itself, or where it is kept."""
        return self._number if self._content is None else self._content

    @classmethod
    def received(cls, sent: str | int, heap: Heap, above: int) -> Text:
        made = cls("")
        if isinstance(sent, str):
            made._content = sent
        else:
            made._content, made._heap, made._number = None, heap, sent + above
        return made

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column, from 1, of an offset in characters."""
        block, content = offset // _BLOCK, self.content
        above = self._lines_above()[block] + content.count("\n", block * _BLOCK, offset)
        return above + 1, offset - content.rfind("\n", 0, offset)

    def line(self, number: int) -> str:
        """A line without its end; empty when there is none of that number."""
        above = self._lines_above()
        block = bisect_left(above, max(number - 1, 0)) - 1
        start, skip = (block * _BLOCK, number - 1 - above[block]) if block >= 0 else (0, number - 1)
        for _ in range(skip):
            start = self.content.find("\n", start) + 1
            if not start:
                return ""
        end = self.content.find("\n", start)
        return self.content[start : end if end >= 0 else None].rstrip("\r")

    def _lines_above(self) -> list[int]:
        """For each block how many lines end before it."""
        if self._above is None:
            total, content, self._above = 0, self.content, [0]
            for start in range(0, len(content), _BLOCK):
                total += content.count("\n", start, start + _BLOCK)
                self._above.append(total)
        return self._above


class Layout:
    """Rows of one document, each value's before those of what is in it. `offset` is the document's place in its file;
    a row's numbers count from there. An alias has the rows of what it stands for."""

    __slots__ = ("begins", "ends", "keys", "offset", "sizes", "starts")

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset
        self.keys: list[Key] = []
        self.begins: array[int] = array("I")
        self.starts: array[int] = array("I")
        self.ends: array[int] = array("I")
        self.sizes: array[int] = array("I")

    def packed(self) -> bytes:
        keys = [... if key is MERGE else key for key in self.keys]
        return marshal.dumps((self.offset, keys, *(column.tobytes() for column in self._columns())))

    @classmethod
    def unpacked(cls, data: bytes) -> Layout:
        made = cls()
        made.offset, keys, *columns = marshal.loads(data)
        made.keys = [MERGE if key is ... else key for key in keys]
        for column, values in zip(made._columns(), columns, strict=True):
            column.frombytes(values)
        return made

    def _columns(self) -> tuple[array[int], ...]:
        return self.begins, self.starts, self.ends, self.sizes

    def add(self, key: Key, begin: int, span: tuple[int, int]) -> int:
        """A row for a value whose key begins at `begin`; its number."""
        self.keys.append(key)
        self.begins.append(begin)
        self.starts.append(span[0])
        self.ends.append(span[1])
        self.sizes.append(1)
        return len(self.keys) - 1

    def close(self, row: int, end: int) -> None:
        """All that belongs to the collection of this row has been added."""
        self.ends[row] = max(end, self.starts[row])
        self.sizes[row] = len(self.keys) - row

    def repeat(self, key: Key, begin: int, row: int) -> int:
        """Rows for an alias: those of `row` again, under a key of its own."""
        first, last = len(self.keys), row + self.sizes[row]
        for column in (self.keys, self.begins, self.starts, self.ends, self.sizes):
            column.extend(column[row:last])  # type: ignore[arg-type]  # each with its own kind
        self.keys[first], self.begins[first] = key, begin
        return first

    def children(self, row: int) -> Iterator[int]:
        last, child = row + self.sizes[row], row + 1
        while child < last:
            yield child
            child += self.sizes[child]

    def entry(self, row: int, key: str) -> int | None:
        """The row of a mapping's field; the last where it is given twice, as readers take it."""
        found = None
        keys, sizes = self.keys, self.sizes
        last, child = row + sizes[row], row + 1
        while child < last:
            name = keys[child]
            if name == key:
                found = child
            elif name is MERGE:
                merged = self.entry(child, key)
                found = merged if merged is not None else found
            elif name is None and found is None:  # one of a list of merged mappings, of which the first counts
                found = self.entry(child, key)
            child += sizes[child]
        return found

    def item(self, row: int, index: int) -> int | None:
        return next((child for at, child in enumerate(self.children(row)) if at == index), None)


@dataclass(frozen=True, slots=True)
class Name:
    """An element of a list, by its `name`."""

    name: str


Part = str | int | Name


def parts(path: str) -> list[Part]:
    """`spec.containers[web].ports[0]` and `metadata.labels['app.kubernetes.io/name']`, taken apart."""
    found: list[Part] = []
    for number, quote, quoted, name, field in _PART.findall(path):
        if number:
            found.append(int(number))
        elif quote:
            found.append(str(quoted))
        else:
            found.append(str(field) if field else Name(name))
    return found


class Found(NamedTuple):
    """What a path leads to: its row and value, or those of its nearest ancestor that is written, with what is `left` of
    the path there."""

    row: int
    value: Any
    left: Sequence[Part] = ()

    @property
    def exact(self) -> bool:
        return not self.left


def find(layout: Layout, obj: Any, path: Sequence[Part], row: int = 0) -> Found:
    """Follow a path from the value `obj` of `row`."""
    while path:
        found = _step(layout, obj, row, path)
        if found is None:
            return Found(row, obj, path)
        row, obj, taken = found
        path = path[taken:]
    return Found(row, obj)


class Finder(dict[str, Found]):
    """What many paths lead to from one object; each is followed from where the one before its last field ends."""

    __slots__ = ("_layout",)

    def __init__(self, layout: Layout, obj: Any, row: int = 0) -> None:
        super().__init__({"": Found(row, obj)})
        self._layout = layout

    def __missing__(self, path: str) -> Found:
        home, last, simple = _ends(path)
        row, value, left = self[home]
        if simple and not left and value.__class__ is dict and last in value:
            entry = self._layout.entry(row, last)
            found = Found(row, value, (last,)) if entry is None else Found(entry, value[last])
        else:
            found = find(self._layout, value, (*left, *_parts(last)), row)
        self[path] = found
        return found


_parts = lru_cache(maxsize=4096)(parts)


@lru_cache(maxsize=4096)
def _ends(path: str) -> tuple[str, str, bool]:
    """What a path leads through (empty where it must be followed as a whole), what follows, and whether that is nothing
    but a key."""
    home, _, last = path.rpartition(".")
    if last.count("[") != last.count("]"):
        return "", path, False
    return home, last, bool(last) and "[" not in last


def _step(layout: Layout, obj: Any, row: int, rest: Sequence[Part]) -> tuple[int, Any, int] | None:
    """One step: the row, its value, and how many parts it took."""
    part = rest[0]
    if isinstance(obj, list):
        return _into_list(layout, obj, row, part)
    if not isinstance(obj, dict):
        return None
    field, taken = _field(obj, rest)
    if field is None:
        return _other_list(layout, obj, row, rest)
    if field in _CONTAINER_LISTS and taken < len(rest) and isinstance(rest[taken], Name):
        return _other_list(layout, obj, row, rest) or _entry(layout, obj, row, (field, taken))
    return _entry(layout, obj, row, (field, taken))


def _entry(layout: Layout, obj: dict[str, Any], row: int, field: tuple[str, int]) -> tuple[int, Any, int] | None:
    found = layout.entry(row, field[0])
    return None if found is None else (found, obj[field[0]], field[1])


def _field(obj: dict[str, Any], rest: Sequence[Part]) -> tuple[str | None, int]:
    """The field that a path goes on with. A key with dots in it may stand there without quotes."""
    joined = ""
    for taken, part in enumerate(rest, 1):
        if not isinstance(part, str):
            joined += f"[{part.name if isinstance(part, Name) else part}]"
        else:
            joined = f"{joined}.{part}" if joined else part
        if joined in obj:
            return joined, taken
    return (rest[0].name, 1) if isinstance(rest[0], Name) and rest[0].name in obj else (None, 0)


def _into_list(layout: Layout, obj: list[Any], row: int, part: Part) -> tuple[int, Any, int] | None:
    index = part if isinstance(part, int) else _named(obj, part.name if isinstance(part, Name) else part)
    if index is None or index >= len(obj):
        return None
    found = layout.item(row, index)
    return None if found is None else (found, obj[index], 1)


def _named(items: list[Any], name: str) -> int | None:
    for index, item in enumerate(items):
        if isinstance(item, dict) and item.get("name") == name:
            return index
    return None


def _other_list(layout: Layout, obj: dict[str, Any], row: int, rest: Sequence[Part]) -> tuple[int, Any, int] | None:
    """`containers[x]` may be any container of the pod."""
    if rest[0] not in _CONTAINER_LISTS or len(rest) < 2 or not isinstance(rest[1], Name):
        return None
    for field in (str(rest[0]), *_CONTAINER_LISTS):
        items = obj.get(field)
        index = _named(items, rest[1].name) if isinstance(items, list) else None
        found = layout.entry(row, field) if index is not None else None
        if found is not None and index is not None and isinstance(items, list):
            child = layout.item(found, index)
            return None if child is None else (child, items[index], 2)
    return None


def position(text: Text, layout: Layout, row: int, *, exact: bool = True) -> Position:
    """From the beginning of a field's key to the end of its value."""
    begin, end = layout.begins[row], layout.ends[row]
    if end < begin:  # an alias, whose value is written further up
        begin = layout.starts[row]
    begin, end = begin + layout.offset, end + layout.offset
    end = begin + len(text.content[begin:end].rstrip())
    return Position(*text.place(begin), *text.place(end), exact)
