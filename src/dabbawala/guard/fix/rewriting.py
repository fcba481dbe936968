"""Changes made in the text of a file, and proven: the result is read again before anybody gets it.

Each document must then be the object that was meant, every other document what it was, and no problem may be new;
otherwise the change is refused with the reason. Changes that several uses of one anchor ask for alike are tried
together; what fails together is tried in halves, so that one refusal spoils nothing else. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dabbawala.apimachinery.meta import Object
from dabbawala.guard import documents, json_text
from dabbawala.guard.documents import Document, Reading
from dabbawala.guard.fix import edits, notation, splices
from dabbawala.guard.fix.changes import Change, Impossible, changed, same
from dabbawala.guard.fix.notation import Habits
from dabbawala.guard.fix.pages import Page
from dabbawala.guard.fix.splices import WAYS, Refused, Splice, Way

ATTEMPTS_MAX = 256
"""Texts of one file that are read again at most; what is left then is refused."""

_ANCHOR = re.compile(r"&([^\s,\[\]{}]+)")
_UNWRITABLE = "it cannot be written without changing something else of the file"


class Wish(NamedTuple):
    """A change of one of a file's documents, by its index."""

    document: int
    change: Change


class Refusal(NamedTuple):
    wish: Wish
    reason: str


class Rewritten(NamedTuple):
    """The new text, read, what is different in it, and what could not be done."""

    text: str
    reading: Reading
    made: list[Wish]
    refused: list[Refusal]


def rewrite(file: str, text: str, wishes: Sequence[Wish]) -> Rewritten:
    """Make the changes in the text of a file; `file` is its name, whose suffix .json means what it says."""
    writer = _Writer(file, text)
    writer.settle(wishes)
    return Rewritten(writer.text, writer.reading, writer.made, writer.refused)


class _Writer:
    """A file's text as far as its changes are settled."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._left = ATTEMPTS_MAX
        self._habits: dict[int, Habits] = {}
        self.text = text
        self.reading = documents.read(file, text.encode())
        self.made: list[Wish] = []
        self.refused: list[Refusal] = []

    def settle(self, wishes: Sequence[Wish]) -> None:
        if not wishes or self._attempt(wishes):
            return
        groups = self._groups(wishes)
        if len(groups) == 1:  # what several uses of an anchor cannot do together, one of them may do beside it
            groups = [[wish] for wish in wishes]
        if len(groups) > 1:
            half = len(groups) // 2
            self.settle([wish for group in groups[:half] for wish in group])
            self.settle([wish for group in groups[half:] for wish in group])
            return
        self.refused += [Refusal(wish, self._why(wish)) for wish in wishes]

    def _attempt(self, wishes: Sequence[Wish]) -> bool:
        """Whether all of them could be made together."""
        try:
            wanted = self._wanted(wishes)
        except Impossible:
            return False
        for way in WAYS:
            if self._left <= 0:
                return False
            self._left -= 1
            try:
                text = splices.spliced(self.text, splices.ordered(self._splices(wanted, way)))
            except Refused:
                continue
            reading = documents.read(self._file, text.encode())
            if self._proven(reading, wanted):
                self.text, self.reading = text, reading
                self._habits.clear()
                self.made += wishes
                return True
        return False

    def _wanted(self, wishes: Sequence[Wish]) -> dict[int, Object]:
        """The objects as they are to be. Raises Impossible."""
        by_document: dict[int, list[Change]] = {}
        for wish in wishes:
            by_document.setdefault(wish.document, []).append(wish.change)
        return {index: changed(self.reading.documents[index].object, changes) for index, changes in by_document.items()}

    def _splices(self, wanted: Mapping[int, Object], way: Way) -> list[Splice]:
        found: list[Splice] = []
        for index, obj in wanted.items():
            document = self.reading.documents[index]
            found += edits.edits(self._page(document), document.row, document.object, obj, way=way)
        return found

    def _page(self, document: Document) -> Page:
        layout = document.layout
        if layout.offset not in self._habits:
            own = self.text[layout.offset : layout.offset + layout.ends[0] + 2]
            self._habits[layout.offset] = notation.habits(own, is_json=json_text.looks_so(own))
        return Page(self.text, layout, self._habits[layout.offset])

    def _proven(self, reading: Reading, wanted: Mapping[int, Object]) -> bool:
        before = self.reading
        if len(reading.documents) != len(before.documents) or len(reading.problems) != len(before.problems):
            return False
        return all(
            same(document.object, wanted.get(index, before.documents[index].object))
            for index, document in enumerate(reading.documents)
        )

    def _groups(self, wishes: Sequence[Wish]) -> list[list[Wish]]:
        """Those that would write the same words into the same place belong together."""
        found: dict[object, list[Wish]] = {}
        for number, wish in enumerate(wishes):
            try:
                key: object = tuple(splices.ordered(self._splices(self._wanted([wish]), WAYS[0])))
            except (Impossible, Refused):
                key = number
            found.setdefault(key, []).append(wish)
        return list(found.values())

    def _why(self, wish: Wish) -> str:
        try:
            self._wanted([wish])
        except Impossible as impossible:
            return str(impossible)
        if self._left <= 0:
            return f"the file took more than {ATTEMPTS_MAX} attempts; fix it again"
        document = self.reading.documents[wish.document]
        return _shared(Page(self.text, document.layout, Habits()), document.row, wish.change) or _UNWRITABLE


def _shared(page: Page, row: int, change: Change) -> str:
    """Which anchor the place is written through, or has in it, that is used elsewhere; empty if there is none."""
    at: int | None = row
    for part in (*change.path, None):
        if at is None:
            return ""
        name = page.anchor(at)
        if name:
            line = page.text.count("\n", 0, page.text.find(f"&{name}")) + 1
            return f"it is written at the anchor &{name} (line {line}), which other places use too"
        if part is None:
            break
        children = page.children(at)
        at = page.entry(at, part) if isinstance(part, str) else next(iter(children[part : part + 1]), None)
    return _needed(page, at) if at is not None else ""


def _needed(page: Page, row: int) -> str:
    begin, end = page.begin(row), page.end(row)
    for found in _ANCHOR.finditer(page.text, begin, end):
        if f"*{found[1]}" in page.text[end:]:
            line = page.text.count("\n", 0, found.start()) + 1
            return f"the anchor &{found[1]} (line {line}) is in it, which other places use too"
    return ""
