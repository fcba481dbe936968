"""YAML to plain JSON values and a layout, in one pass over the parser's events.

libyaml reads; what its events mean is decided here, because readers that build node trees follow nesting by a
recursion in C that nothing ends, and repeat what aliases stand for without asking how often. Here each bound is
known before anything is built: depth, values, and what all aliases of a document may stand for. Pure.
Source: YAML 1.1, goyaml.v2 decode.go (merge keys count where they stand), CVE-2019-11253.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from dabbawala.guard import scalars
from dabbawala.guard.positions import MERGE, Key, Layout

Event = Any
"""One of the parser's; their published types leave open whether marks are there, which they are."""

DEPTH_MAX = 200
"""Levels of nesting, as many as the JSON that is made of it may have."""

VALUES_MAX = 1_000_000
"""Values of one file, those of aliases among them; ten thousand ordinary manifests have half as many."""

ALIASED_MAX = 3 * 1024 * 1024
"""What all aliases of a document may stand for, in values and characters: no more than an API server takes at once."""

DIRECTIVES_MAX = 64
"""Lines that begin with %; a document needs one or two."""

REPEATED_MAX = 20
"""Keys given twice that are reported of one document."""


_DIRECTIVE = re.compile(r"^%", re.MULTILINE)
_REFUSED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")


class Unreadable(Exception):
    """The document cannot be read; `offset` is where, in characters."""

    def __init__(self, code: str, message: str, offset: int) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.offset = offset


def too_many(offset: int) -> Unreadable:
    return Unreadable("too-large", f"the file has more than {VALUES_MAX:,} values", offset)


class Repeated(NamedTuple):
    """A key that a mapping has twice, and where."""

    key: str
    first: int
    again: int


class Built(NamedTuple):
    value: Any
    layout: Layout
    repeated: list[Repeated]


class _Anchor(NamedTuple):
    """What an anchor names. `row` is -1 for a key; `weight` counts its values and characters, `height` its levels."""

    value: Any
    row: int
    weight: int
    height: int


class _Frame:
    """A collection that has begun and not ended."""

    __slots__ = ("anchor", "begin", "container", "height", "key", "merged", "row", "weight")

    def __init__(self, container: Any, anchor: str | None, row: int, weight: int) -> None:
        self.container = container
        self.anchor = anchor
        self.row = row
        self.weight = weight
        self.key: Key = None
        self.begin = 0
        self.height = 1
        self.merged = False


class _Document:
    """One document as far as its events have passed."""

    __slots__ = ("_aliased", "_anchors", "_end", "_frames", "_most", "_weight", "frame", "layout", "repeated", "value")

    def __init__(self, most: int) -> None:
        self._most = most
        self.layout = Layout()
        self.repeated: list[Repeated] = []
        self.value: Any = None
        self.frame: _Frame | None = None
        self._frames: list[_Frame] = []
        self._anchors: dict[str, _Anchor] = {}
        self._weight = self._aliased = 0
        self._end = 0  # of the value before

    def scalar(self, event: Event) -> None:
        start = event.start_mark.index
        frame = self.frame
        text = event.value
        self._weight += len(text) + 1
        if frame is not None and frame.key is None and frame.container.__class__ is dict:
            self._begin_entry(frame, event, start)
            return
        value = _value(event)
        self._end = event.end_mark.index
        row = self._row(start, self._end)
        if event.anchor:
            self._anchors[event.anchor] = _Anchor(value, row, len(text) + 1, 0)
        self._attach(value, 0)

    def _begin_entry(self, frame: _Frame, event: Event, start: int) -> None:
        frame.begin = start
        value = _value(event)
        if event.implicit[0] and value == "<<":
            frame.key = MERGE
            return
        frame.key = sys.intern(_key(value, start))
        if event.anchor:
            self._anchors[event.anchor] = _Anchor(value, -1, len(event.value) + 1, 0)
        if frame.key in frame.container and not frame.merged and len(self.repeated) < REPEATED_MAX:
            self._repeat(frame, frame.key, start)

    def _repeat(self, frame: _Frame, key: str, start: int) -> None:
        self.layout.sizes[frame.row] = len(self.layout.keys) - frame.row
        first = self.layout.entry(frame.row, key)
        self.repeated.append(Repeated(key, self.layout.begins[first] if first is not None else start, start))

    def _row(self, start: int, end: int) -> int:
        frame = self.frame
        layout = self.layout
        if len(layout.keys) >= self._most:
            raise too_many(start)
        if frame is None or frame.key is None:
            return layout.add(None, start, (start, end))
        return layout.add(frame.key, frame.begin, (start, end))

    def _attach(self, value: Any, height: int) -> None:
        frame = self.frame
        if frame is None:
            self.value = value
            return
        if height >= frame.height:
            frame.height = height + 1
        if frame.container.__class__ is list:
            frame.container.append(value)
            return
        if frame.key is MERGE:
            frame.merged = True
            _merge(frame, value)
        else:
            frame.container[frame.key] = value
        frame.key = None

    def begin(self, event: Event, container: Any) -> None:
        start = event.start_mark.index
        frame = self.frame
        if frame is not None:
            if frame.key is None and frame.container.__class__ is dict:
                raise Unreadable("yaml-key", "a key must be a word; here a list or a mapping stands for one", start)
            self._frames.append(frame)
            if len(self._frames) >= DEPTH_MAX:
                raise Unreadable("too-deep", f"the document nests more than {DEPTH_MAX} levels deep", start)
        self._weight += 1
        self.frame = _Frame(container, event.anchor, self._row(start, start), self._weight)
        if event.anchor:
            self._anchors.pop(event.anchor, None)

    def end(self, event: Event) -> None:
        frame, layout = self.frame, self.layout
        assert frame is not None
        flow = event.end_mark.index > event.start_mark.index
        if flow:
            self._end = event.end_mark.index
        layout.close(frame.row, self._end)
        self.frame = self._frames.pop() if self._frames else None
        if frame.anchor:
            weight = self._weight - frame.weight + 1
            self._anchors[frame.anchor] = _Anchor(frame.container, frame.row, weight, frame.height)
        self._attach(frame.container, frame.height)

    def alias(self, event: Event) -> None:
        start = event.start_mark.index
        found = self._anchors.get(event.anchor)
        if found is None:
            raise self._no_anchor(event.anchor, start)
        self._weight += found.weight
        self._aliased += found.weight
        if self._aliased > ALIASED_MAX:
            raise Unreadable("yaml-bomb", f"aliases stand for more than {ALIASED_MAX:,} values and characters", start)
        if len(self._frames) + found.height >= DEPTH_MAX:
            raise Unreadable("too-deep", f"the document nests more than {DEPTH_MAX} levels deep", start)
        if found.row >= 0 and len(self.layout.keys) + self.layout.sizes[found.row] > self._most:
            raise too_many(start)
        frame = self.frame
        if frame is not None and frame.key is None and frame.container.__class__ is dict:
            frame.key, frame.begin = _key(found.value, start), start
            return
        self._end = start + len(event.anchor) + 1
        key, begin = (None, start) if frame is None or frame.key is None else (frame.key, frame.begin)
        if found.row < 0:
            self.layout.add(key, begin, (start, self._end))
        else:
            self.layout.repeat(key, begin, found.row)
        self._attach(_copy(found.value), found.height)

    def _no_anchor(self, name: str, start: int) -> Unreadable:
        inside = any(frame is not None and frame.anchor == name for frame in (*self._frames, self.frame))
        if inside:
            return Unreadable("yaml-cycle", f"the anchor &{name} contains itself through the alias *{name}", start)
        return Unreadable("yaml-syntax", f"the alias *{name} has no anchor &{name} before it", start)


def _value(event: Event) -> Any:
    plain, quoted = event.implicit
    try:
        if plain:
            return scalars.resolve(event.value)
        return event.value if quoted else scalars.tagged(event.value, event.tag or "")
    except ValueError as wrong:
        raise Unreadable("yaml-value", str(wrong), event.start_mark.index) from wrong


def _key(value: Any, start: int) -> str:
    try:
        return scalars.key(value)
    except ValueError as wrong:
        raise Unreadable("yaml-key", str(wrong), start) from wrong


def _merge(frame: _Frame, value: Any) -> None:
    """Where it stands: keys before it give way, keys behind it win; of several mappings the first wins."""
    several = value if isinstance(value, list) else [value]
    if not all(isinstance(one, dict) for one in several):
        raise Unreadable("yaml-merge", "the merge key << takes a mapping or a list of mappings", frame.begin)
    for one in reversed(several):
        frame.container.update(one)


def _copy(value: Any) -> Any:
    if value.__class__ is dict:
        return {key: _copy(inner) for key, inner in value.items()}
    if value.__class__ is list:
        return [_copy(inner) for inner in value]
    return value


class _Parser(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the C parser is optional
    """libyaml's parser where PyYAML has it."""


def documents(text: str, most: int = VALUES_MAX) -> Iterator[Built]:
    """The documents of a text, in order; all of them together have at most so many values. Raises Unreadable at the
    first that cannot be read."""
    if text.startswith("%") or "\n%" in text:
        _check_directives(text)
    try:
        next_event = _Parser(text).get_event
        while (event := next_event()) is not None:
            if event.__class__ is DocumentStartEvent:
                built = _document(next_event, most)
                most -= len(built.layout.keys)
                yield built
    except yaml.MarkedYAMLError as wrong:
        raise _syntax(wrong) from wrong
    except yaml.reader.ReaderError as wrong:
        raise Unreadable("yaml-characters", "a character that YAML does not allow", _control(text)) from wrong


def _check_directives(text: str) -> None:
    """libyaml compares each %TAG with all before it."""
    for number, found in enumerate(_DIRECTIVE.finditer(text)):
        if number >= DIRECTIVES_MAX:
            raise Unreadable("too-large", f"the document has more than {DIRECTIVES_MAX} directives (%)", found.start())


def _document(next_event: Callable[[], Any], most: int) -> Built:
    document = _Document(most)
    while True:
        event = next_event()
        kind = event.__class__
        if kind is ScalarEvent:
            document.scalar(event)
        elif kind is MappingStartEvent:
            document.begin(event, {})
        elif kind is SequenceStartEvent:
            document.begin(event, [])
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            document.end(event)
        elif kind is AliasEvent:
            document.alias(event)
        elif kind is DocumentEndEvent:
            return Built(document.value, document.layout, document.repeated)


def _syntax(wrong: yaml.MarkedYAMLError) -> Unreadable:
    mark = wrong.problem_mark or wrong.context_mark
    said = " ".join(part for part in (wrong.problem, wrong.context) if part)
    if wrong.context_mark is not None and wrong.context and wrong.context_mark.line != getattr(mark, "line", -1):
        said = f"{wrong.problem} {wrong.context} that begins {_above(wrong)}"
    return Unreadable("yaml-syntax", said or "not YAML", mark.index if mark is not None else 0)


def _above(wrong: yaml.MarkedYAMLError) -> str:
    assert wrong.problem_mark is not None
    assert wrong.context_mark is not None
    lines = wrong.problem_mark.line - wrong.context_mark.line
    return f"{lines} line{'s' if lines != 1 else ''} above"


def _control(text: str) -> int:
    """Where the first character is that libyaml refuses."""
    found = _REFUSED.search(text)
    return found.start() if found is not None else 0
