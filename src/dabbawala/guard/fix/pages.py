"""A document as its editor sees it: where each value's words begin and end in the lines of the text. Pure."""

from __future__ import annotations

import re
from typing import Any

from dabbawala.guard.fix.lines import Lines
from dabbawala.guard.fix.notation import Habits
from dabbawala.guard.positions import Key, Layout

_ANCHOR = re.compile(r"&[^\s,\[\]{}]+[ \t]*")
_PROPERTY = re.compile(r"[&!][^\s,\[\]{}]*[ \t]*(?=[\r\n#])")
_ALIAS = re.compile(r":\s+(\*[^\s,\[\]{}]+)")
_ALIASED = re.compile(r"\*[^\s,\[\]{}]+")
_COLON = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\n]*?)\s*:(?=[ \t\r\n]|\Z)""", re.DOTALL)
_DASHED = re.compile(r"[ \t-]*-(?=[ \t]+#)")
_PROPERTIES = re.compile(r"(?:[&!][^\s,\[\]{}]*\s+)*")


class Page(Lines):
    """A text and the layout of one of its documents. Offsets are those of the text."""

    def __init__(self, text: str, layout: Layout, habits: Habits) -> None:
        super().__init__(text)
        self.habits = habits
        self._layout = layout

    def children(self, row: int) -> list[int]:
        return list(self._layout.children(row))

    def key(self, row: int) -> Key:
        return self._layout.keys[row]

    def entry(self, row: int, key: str) -> int | None:
        """The row of a field, the mapping's own or one that it takes over by `<<`."""
        return self._layout.entry(row, key)

    def own(self, row: int) -> dict[str, int]:
        """The rows of a mapping's own fields; of one that is given twice, the last."""
        return {key: child for child in self._layout.children(row) if isinstance(key := self.key(child), str)}

    def begin(self, row: int) -> int:
        return self._layout.begins[row] + self._layout.offset

    def is_alias(self, row: int) -> bool:
        """Whether an alias stands there; its parts are written where the anchor is."""
        return self._layout.starts[row] < self._layout.begins[row]

    def anchor(self, row: int) -> str:
        """The name of the anchor that the value has, or that the alias there stands for; empty without one."""
        found = _ANCHOR.match(self.text, self._layout.starts[row] + self._layout.offset)
        return found[0].strip()[1:] if found is not None else ""

    def start(self, row: int) -> int:
        """Where the value begins: behind its anchor, at its tag; of an alias, where the alias stands."""
        if self.is_alias(row):
            return self._alias(row).start(1 if self.key(row) is not None else 0)
        start = self._layout.starts[row] + self._layout.offset
        found = _ANCHOR.match(self.text, start)
        return (
            found.end() if found is not None and found.end() <= self._layout.ends[row] + self._layout.offset else start
        )

    def end(self, row: int) -> int:
        """Behind the last character of the value that is no space."""
        if self.is_alias(row):
            return self._alias(row).end(1 if self.key(row) is not None else 0)
        start, end = self.start(row), self._layout.ends[row] + self._layout.offset
        return start + len(self.text[start:end].rstrip())

    def _alias(self, row: int) -> re.Match[str]:
        pattern = _ALIASED if self.key(row) is None else _ALIAS
        found = pattern.search(self.text, self.begin(row))
        assert found is not None
        return found

    def is_flow(self, row: int, value: Any) -> bool:
        """Whether a collection is written in brackets or braces."""
        found = _PROPERTIES.match(self.text, self._layout.starts[row] + self._layout.offset)
        assert found is not None
        return self.text[found.end() : found.end() + 1] == ("{" if isinstance(value, dict) else "[")

    def head(self, row: int) -> int:
        """Where a word of a block collection's value could stand: behind the colon or dash, and behind its anchor."""
        if self.key(row) is None and self.is_alias(row):
            return self.back(self.begin(row))
        start = self._layout.starts[row] + self._layout.offset
        found = _PROPERTY.match(self.text, start)
        if found is not None:
            return start + len(found[0].rstrip())
        if self.key(row) is None:
            return self._behind_dash(start)
        colon = _COLON.match(self.text, self.begin(row))
        return colon.end() if colon is not None else start

    def _behind_dash(self, start: int) -> int:
        """Comments may stand between a dash and what begins below it."""
        at = self.back(start)
        while self.is_comment(at):
            at = self.back(self.line_start(at))
        found = _DASHED.match(self.text, self.line_start(at), at)
        return at if found is None else found.end()

    def outset(self, row: int) -> int:
        """Where an entry begins: at its key, or at its dash."""
        if self.key(row) is not None:
            return self.begin(row)
        dash = self.text.rfind("-", 0, self.begin(row))
        head = self.head(row)
        return head - 1 if self.text[head - 1 : head] == "-" else dash
