"""From the bytes of a file to objects that know where each of their fields is written.

Reading never raises: what cannot be read is a Problem with file, line, reason and remedy, and the documents around it
are read all the same, since `---` at the beginning of a line ends a document whatever is wrong in it. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import PurePath
from typing import Any, NamedTuple, Protocol

import orjson

from dabbawala.apimachinery.meta import Object
from dabbawala.guard import composing, decoding, json_text, positions
from dabbawala.guard.composing import VALUES_MAX, Built, Unreadable
from dabbawala.guard.findings import Place, Problem
from dabbawala.guard.heap import Heap
from dabbawala.guard.positions import Layout, Position, Text

DOCUMENTS_MAX = 50_000
"""Documents of one file, empty ones among them."""

ROWS_KEPT_MAX = 128
"""Values of a document up to which a packed one keeps their positions: reading again costs more than their memory."""

READ_AGAIN_MAX = 64
"""Packed documents whose positions are kept once somebody has asked for one."""

PROBLEMS_MAX = 50
"""Problems that are reported of one file."""

_SEPARATOR = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_DIRECTIVE = re.compile(r"^%", re.MULTILINE)
_EMPTY = re.compile(r"(?:\s++|#[^\n]*+|---(?=\s|\Z)|\.\.\.(?=\s|\Z))*+\Z")
_LINES = "lines["
_LINE = re.compile(r"lines\[(\d+)\]")
_TEMPLATE = re.compile(r"\{\{[-\s\w.$\"`(/*]")

_REMEDIES = {
    "too-large": decoding.SPLIT,
    "too-deep": "Flatten the document; no Kubernetes object nests as deep.",
    "yaml-bomb": "Write out what the aliases stand for, or use fewer of them.",
    "yaml-cycle": "Remove the alias from what its anchor names.",
    "yaml-key": "Put the key into quotes, or write a name.",
    "yaml-merge": "Let << name a mapping, as in `<<: *name`.",
    "yaml-value": "Put the value into quotes if it is text.",
    "yaml-characters": "Remove the character, or write it as an escape in double quotes.",
    "json-syntax": "Correct the JSON at this place.",
}
_READERS = (composing.documents, json_text.documents)
_SYNTAX = "Correct the YAML at this place: indentation, quotes and brackets are the usual causes."
_TEMPLATED = "Scan the chart's folder (the one with Chart.yaml), so that its templates are rendered first."


class _Span(NamedTuple):
    """A part of a text that holds one document, and what reads it."""

    reader: Callable[[str, int], Iterator[Built]]
    start: int
    end: int


class _Written(NamedTuple):
    """Where an object is written. `span` is None where it is only a part of what is read at once."""

    file: str
    text: Text
    layout: Layout
    row: int
    span: _Span | None


class Origin(Protocol):
    """Leads what was rendered back to its sources."""

    def place(self, document: Document, path: str) -> Place: ...


class Document:
    """One object of a file. `object` is as it was written: nothing is defaulted. The items of a List are documents of
    their own. `index` counts a file's documents from 0; `is_object` tells Kubernetes objects from other YAML. `faults`
    are what a reader forgives and nobody should: keys given twice, fields that no server knows."""

    __slots__ = (
        "_heap", "_layout", "_object", "_packed", "_span", "_text",
        "api_version", "faults", "file", "index", "is_object", "kind", "origin", "row",
    )  # fmt: skip

    def __init__(self, obj: Object, written: _Written, *, index: int) -> None:
        self._object: Object | None = obj
        self._heap: Heap | None = None
        self._packed = (0, 0)  # the object and its layout
        self._layout: Layout | None = written.layout
        self._text, self.row, self._span = written.text, written.row, written.span
        self.file = written.file
        self.index = index
        self.is_object = _has_kind(obj)
        self.api_version, self.kind = str(obj.get("apiVersion", "")), str(obj.get("kind", ""))
        self.origin: Origin | None = None
        self.faults: list[Problem] = []

    @property
    def object(self) -> Object:
        """The object; of a packed document decoded anew each time."""
        return self._object if self._object is not None else self.copy()

    def copy(self) -> Object:
        """The object, for whoever changes it."""
        found: Object = orjson.loads(self._bytes())
        return found

    def _bytes(self) -> bytes:
        if self._object is not None:
            return orjson.dumps(self._object)
        assert self._heap is not None
        return self._heap.get(self._packed[0])

    def pack(self, heap: Heap | None = None) -> None:
        """Take less memory from now on, for more time when it is asked: a scan holds ten thousand of these."""
        if self._object is None:
            return
        self._heap = Heap() if heap is None else heap
        packed, layout = self._heap.put(self._bytes()), self._layout
        self._object = None
        if self._span is not None:
            kept = layout is not None and len(layout.keys) <= ROWS_KEPT_MAX
            self._packed = packed, self._heap.put(layout.packed()) if kept and layout is not None else 0
            self._layout = None
            self._text.pack(self._heap)
        else:
            self._packed = packed, 0

    @property
    def line(self) -> int:
        return self.position("").line

    def position(self, path: str) -> Position:
        """Where a field is written: `spec.containers[web].image`, `spec.rules[0].host`,
        `metadata.labels['app.kubernetes.io/name']`. A list's element is named by its index or by its `name`. Of a field
        that is absent, the nearest thing around it that is there, and `exact` is False."""
        found = self._find(path)
        return positions.position(self._text, self.layout, found.row, exact=found.exact)

    def value(self, path: str) -> Any:
        """What is written there; of a field that is absent, the value of what `position` names instead."""
        return self._find(path).value

    def _find(self, path: str) -> positions.Found:
        return positions.find(self.layout, self.object, positions.parts(path), self.row)

    @property
    def layout(self) -> Layout:
        """Where everything of the document is written; the object begins at its `row`."""
        if self._layout is not None:
            return self._layout
        assert self._span is not None
        assert self._heap is not None
        if self._packed[1]:
            return Layout.unpacked(self._heap.get(self._packed[1]))
        return _read_again(self._text, self._span)

    def place(self, path: str) -> Place:
        """Where a field comes from, as findings carry it: of a rendered object, the line of the template or source
        file where that can be proven. `lines[12]` is that line of the file."""
        if self.origin is not None:
            return self.origin.place(self, path)
        numbered = _LINE.fullmatch(path)
        if numbered is not None:
            return Place(self.file, int(numbered[1]), 1, int(numbered[1]), path)
        found = self.position(path)
        return Place(self.file, found.line, found.column, found.end_line, path)

    def placing(self) -> Callable[[str], Place]:
        """`place` for many fields: the object is decoded once, and each step on the way to them taken once."""
        if self.origin is not None:
            return self.place
        layout, text = self.layout, Text(self._text.content)
        finder = positions.Finder(layout, self.object, self.row)
        known: dict[int, Position] = {}

        def place(path: str) -> Place:
            if path.startswith(_LINES):
                return self.place(path)
            row = finder[path].row
            at = known.get(row)
            if at is None:
                at = known[row] = positions.position(text, layout, row)
            return Place(self.file, at.line, at.column, at.end_line, path)

        return place

    @property
    def source(self) -> str:
        """The text that the object alone is written in; empty where it is a part of something else."""
        return "" if self._span is None else self._text.content[self._span.start : self._span.end]

    def source_line(self, number: int) -> str:
        """A line of the file."""
        return self._text.line(number)

    def __repr__(self) -> str:
        return f"Document({self.file}#{self.index} {self.object.get('kind', '')})"


def _has_kind(obj: Object) -> bool:
    return all(isinstance(obj.get(field), str) and obj[field] for field in ("apiVersion", "kind"))


@lru_cache(maxsize=READ_AGAIN_MAX)
def _read_again(text: Text, span: _Span) -> Layout:
    """The layout of a packed document, whose span of the text could be read before."""
    (built,) = span.reader(text.content[span.start : span.end], VALUES_MAX)
    built.layout.offset = span.start
    return built.layout


class Reading(NamedTuple):
    """What a file holds, in its order, and what of it could not be read."""

    documents: list[Document]
    problems: list[Problem]


def read(path: str | PurePath, data: bytes) -> Reading:
    """The documents of a file's content. `path` is only the name that problems and positions are reported under; its
    suffix .json says that nothing but JSON is meant."""
    file = str(path)
    text, problem = decoding.decoded(file, data)
    if text is None:
        return Reading([], [problem] if problem else [])
    reader = _Reader(file, text)
    for number, (start, end) in enumerate(_chunks(text)):
        if number >= DOCUMENTS_MAX:
            reader.too_many(start)
            break
        if not reader.chunk(start, end):
            break
    return Reading(reader.documents, reader.problems)


def sent(found: Sequence[Document], heap: Heap) -> tuple[Any, ...] | None:
    """What another process makes the documents of a file of, packed into this heap. None where one is made of
    something, is only a part of what is read at once, or has a fault: then it had better read the file."""
    if any(document._span is None or document.origin is not None or document.faults for document in found):
        return None
    for document in found:
        document.pack(heap)
    return found[0]._text.sent() if found else "", [_sent(document) for document in found]


def _sent(document: Document) -> tuple[Any, ...]:
    assert document._span is not None
    reader, start, end = document._span
    how = _READERS.index(reader), start, end
    return document._packed, how, document.index, document.is_object, document.api_version, document.kind


def received(given: tuple[Any, ...], file: str, heap: Heap, *, above: int) -> Iterator[Document]:
    """The documents of a file that another process has read; `above` is where the heap has what that one's had."""
    content, found = given
    text = Text.received(content, heap, above)
    for (packed, layout), (reader, start, end), index, is_object, version, kind in found:
        document = Document.__new__(Document)
        document._object = document._layout = document.origin = None
        document._heap, document._packed = heap, (packed + above, layout and layout + above)
        document._text, document._span = text, _Span(_READERS[reader], start, end)
        document.file, document.row, document.faults = file, 0, []
        document.index, document.is_object, document.api_version, document.kind = index, is_object, version, kind
        yield document


def made(obj: Object, text: str, *, file: str) -> Document:
    """A document that stands for something that is not written as an object; its `origin` knows where."""
    layout = Layout()
    layout.add(None, 0, (0, len(text)))
    return Document(obj, _Written(file, Text(text), layout, 0, None), index=0)


def _chunks(text: str) -> Iterator[tuple[int, int]]:
    """Spans of a text that hold one document each. Directives (%) belong to what follows them, so that such a text
    stays whole."""
    if _DIRECTIVE.search(text) is not None:
        yield 0, len(text)
        return
    start = 0
    for found in _SEPARATOR.finditer(text):
        if found.start() > start:
            yield start, found.start()
        start = found.start()
    yield start, len(text)


class _Reader:
    """The documents and problems of one file so far."""

    def __init__(self, file: str, content: str) -> None:
        self.file = file
        self.text = Text(content)
        self.documents: list[Document] = []
        self.problems: list[Problem] = []
        self._room = VALUES_MAX

    def too_many(self, offset: int) -> None:
        message = f"the file has more than {DOCUMENTS_MAX:,} documents; those from here on are not read"
        self._problem(offset, "too-large", message, _REMEDIES["too-large"])

    def chunk(self, start: int, end: int) -> bool:
        """Read one span of the text; whether to go on."""
        content = self.text.content[start:end] if (start, end) != (0, len(self.text.content)) else self.text.content
        if _EMPTY.match(content):
            return True
        is_json = json_text.looks_so(content)
        if is_json and self._built(json_text.documents, content, start, last=self.file.endswith(".json")):
            return True
        only_json = is_json and self.file.endswith(".json")
        if not only_json:
            self._built(composing.documents, content, start, last=True)
        over = bool(self.problems) and self.problems[-1].code in ("template", "too-large")
        return not over and len(self.problems) < PROBLEMS_MAX

    def _built(self, reader: Callable[[str, int], Iterator[Built]], content: str, start: int, *, last: bool) -> bool:
        """Whether all of the span could be read. Unless this is the `last` attempt, a failure leaves no trace."""
        found: list[Built] = []
        wrong: Unreadable | None = None
        try:
            found.extend(islice(reader(content, self._room), DOCUMENTS_MAX + 1))
        except Unreadable as error:
            if not last:
                return False
            wrong = error
        for built in found[:DOCUMENTS_MAX]:
            built.layout.offset = start
            self._room -= len(built.layout.keys)
            self._take(built, _Span(reader, start, start + len(content)) if len(found) == 1 and not wrong else None)
        if len(found) > DOCUMENTS_MAX:
            self.too_many(found[-1].layout.starts[0] + start)
        if wrong is not None:
            self._unreadable(wrong, content, start)
        return wrong is None

    def _take(self, built: Built, span: _Span | None) -> None:
        for repeated in built.repeated:
            self._repeated(repeated, built.layout.offset)
        value = built.value
        if value is None:
            return
        if not isinstance(value, dict):
            kind = "list" if isinstance(value, list) else "single value"
            self._not_an_object(built.layout, 0, f"the document is a {kind}, not an object")
        elif isinstance(value.get("items"), list) and str(value.get("kind", "")).endswith("List"):
            self._items(value, built.layout)
        else:
            self._document(value, _Written(self.file, self.text, built.layout, 0, span))

    def _document(self, obj: Object, written: _Written) -> None:
        self.documents.append(Document(obj, written, index=len(self.documents)))

    def _items(self, value: Object, layout: Layout) -> None:
        """The objects of a List. Those of a typed one (PodList) have no kind of their own."""
        inherited: Object = {}
        if value["kind"] != "List":
            inherited = {"apiVersion": value.get("apiVersion"), "kind": value["kind"].removesuffix("List")}
        entry = layout.entry(0, "items") or 0
        rows = list(layout.children(entry))
        for index, item in enumerate(value["items"]):
            row = rows[index] if len(rows) == len(value["items"]) else entry
            if isinstance(item, dict):
                self._document({**inherited, **item}, _Written(self.file, self.text, layout, row, None))
            else:
                self._not_an_object(layout, row, f"items[{index}] of the {value['kind']} is not an object")

    def _repeated(self, repeated: composing.Repeated, offset: int) -> None:
        first, _ = self.text.place(repeated.first + offset)
        message = f"the key {repeated.key!r} is given twice, in line {first} already; the last one counts"
        self._problem(repeated.again + offset, "duplicate-key", message, "Keep the one that is meant.")

    def _not_an_object(self, layout: Layout, row: int, message: str) -> None:
        remedy = "Leave the file out of the scan, or write an object with apiVersion and kind."
        self._problem(layout.starts[row] + layout.offset, "not-an-object", message, remedy)

    def _unreadable(self, wrong: Unreadable, content: str, start: int) -> None:
        if wrong.code.startswith(("yaml", "json")) and _TEMPLATE.search(content):
            found = _TEMPLATE.search(content)
            assert found is not None
            message = "the file is a template: {{ … }} stands where YAML has values"
            self._problem(found.start() + start, "template", message, _TEMPLATED)
            return
        offset = min(wrong.offset, len(content)) + start
        self._problem(offset, wrong.code, wrong.message, _REMEDIES.get(wrong.code, _SYNTAX))

    def _problem(self, offset: int, code: str, message: str, remedy: str) -> None:
        line, column = self.text.place(offset)
        self.problems.append(Problem(Place(self.file, line, column), code, message, remedy))
