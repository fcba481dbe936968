"""JSON manifests: their values, and the same layout that YAML's have.

JSON is nearly YAML, but not where it hurts: long keys, escapes of characters beyond the first plane, several objects
one behind the other. The values are orjson's; the tokens are looked at once more for where each value stands. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

import orjson

from dabbawala.guard.composing import DEPTH_MAX, REPEATED_MAX, VALUES_MAX, Built, Repeated, Unreadable, too_many
from dabbawala.guard.positions import Key, Layout

_TOKEN = re.compile(r'[ \t\r\n]*(?:("(?:[^"\\]|\\.)*+")|([\[{])|([\]}])|([,:])|([^ \t\r\n"\[\]{},:]+))', re.DOTALL)
_SPACE = re.compile(r"[ \t\r\n]*+")
_BEGINS = re.compile(r'\s*(\{\s*["}]|\[\s*[\[{"\]])')


def looks_so(text: str) -> bool:
    """Whether a text begins as JSON does; a flow mapping of YAML rarely has its first key in quotes."""
    return _BEGINS.match(text) is not None


def documents(text: str, most: int = VALUES_MAX) -> Iterator[Built]:
    """The values of a text, which may stand one behind the other; all of them have at most so many values in them.
    Raises Unreadable at the first that cannot be read."""
    at = 0
    while (found := _SPACE.match(text, at)) is not None and found.end() < len(text):
        scan = _Scan(text, at, most)
        end = scan.run()
        most -= len(scan.layout.keys)
        try:
            value = orjson.loads(text[at:end])
        except orjson.JSONDecodeError as wrong:
            raise Unreadable("json-syntax", f"not JSON: {wrong.msg}", at + wrong.pos) from wrong
        yield Built(value, scan.layout, scan.repeated)
        at = end


class _Scan:
    """One value's tokens. What it does not understand it leaves to the parser, which says what is wrong."""

    __slots__ = ("_at", "_most", "_open", "_text", "layout", "repeated")

    def __init__(self, text: str, at: int, most: int) -> None:
        self._most = most
        self.layout = Layout()
        self.repeated: list[Repeated] = []
        self._text = text
        self._at = at
        self._open: list[tuple[int, dict[str, int] | None]] = []

    def run(self) -> int:
        """Where the value ends; the end of the text if it does not."""
        key: str | None = None
        begin = 0
        for found in iter(self._next, None):
            string, opens, closes, mark, _ = found.groups()
            start = found.start(found.lastindex or 0)
            if closes:
                if not self._open:
                    return found.end()
                self.layout.close(self._open.pop()[0], found.end())
            elif mark:
                continue
            elif string and key is None and self._keys() is not None:
                key, begin = self._entry(string, start), start
                continue
            else:
                self._value(key, begin if key is not None else start, (start, found.end()), opens)
                key = None
            if not self._open:
                return found.end()
        return len(self._text)

    def _next(self) -> re.Match[str] | None:
        found = _TOKEN.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def _keys(self) -> dict[str, int] | None:
        """The keys of the object that is open; None in a list."""
        return self._open[-1][1] if self._open else None

    def _entry(self, string: str, start: int) -> str:
        keys = self._keys()
        key = string[1:-1]
        if "\\" in key:
            with suppress(orjson.JSONDecodeError):
                key = orjson.loads(string)
        if keys is not None:
            if key in keys and len(self.repeated) < REPEATED_MAX:
                self.repeated.append(Repeated(key, keys[key], start))
            keys[key] = start
        return key

    def _value(self, key: Key, begin: int, span: tuple[int, int], opens: str | None) -> None:
        row = self.layout.add(key, begin, span)
        if row >= self._most:
            raise too_many(span[0])
        if opens:
            self._open.append((row, {} if opens == "{" else None))
            if len(self._open) > DEPTH_MAX:
                raise Unreadable("too-deep", f"the document nests more than {DEPTH_MAX} levels deep", span[0])
