"""How a value is written into a file: as its neighbours are, and so that every reader takes it for the same value.

What a word means without quotes is decided by the readers of today and of YAML 1.1 alike: whatever either of them could
take for something else than text gets quotes. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from dabbawala.guard import scalars

LINE_MAX = 100
"""Characters of a list of plain values up to which it stays on one line."""

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./%+=@-]*\Z")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_NESTED = re.compile(r"^( *)((?:- +)*)[^\s#][^\n]*:[ \t]*(?:#[^\n]*)?\r?\n( +)(?![\s#])(?!- )", re.MULTILINE)
_LISTED = re.compile(r"^( *)((?:- +)*)[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\r?\n( *)- ", re.MULTILINE)
_OPENED = re.compile(r"\A\s*[\[{]\s*?\n([ \t]+)")


class Habits(NamedTuple):
    """How a text is written: the end of its lines, a step of indentation, how far a list is indented below its key,
    and whether it is JSON."""

    newline: str = "\n"
    step: int = 2
    list_step: int = 2
    is_json: bool = False
    json_step: str = "  "


def habits(text: str, *, is_json: bool) -> Habits:
    """Those of a text, where it shows them."""
    opened = _OPENED.match(text) if is_json else None
    nested, listed = _NESTED.search(text), _LISTED.search(text)
    return Habits(
        newline="\r\n" if "\r\n" in text else "\n",
        step=_deeper(nested) or 2,
        list_step=2 if listed is None else _deeper(listed),
        is_json=is_json,
        json_step=opened[1] if opened is not None else "  ",
    )


def _deeper(found: re.Match[str] | None) -> int:
    return 0 if found is None else max(len(found[3]) - len(found[1]) - len(found[2]), 0)


def text_of(value: Any, *, quoted: bool) -> str:
    """A single value as one word; text in quotes where they are needed, or always."""
    if not isinstance(value, str):
        return json.dumps(value)
    if not quoted and _PLAIN.match(value) and scalars.resolve(value) == value:
        return value
    text = json.dumps(value, ensure_ascii=False)
    if quoted and _UNPRINTABLE.search(text):
        return json.dumps(value)
    return _UNPRINTABLE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def inline(value: Any, *, quoted: bool) -> str:
    """A value on one line, in brackets and braces where it has parts."""
    if isinstance(value, dict):
        entries = (f"{text_of(key, quoted=quoted)}: {inline(item, quoted=quoted)}" for key, item in value.items())
        return "{" + ", ".join(entries) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(inline(item, quoted=quoted) for item in value) + "]"
    return text_of(value, quoted=quoted)


def fits_a_line(value: Any) -> bool:
    """Whether it is written on the line of its key: single values, nothing, and short lists of single values."""
    if isinstance(value, dict):
        return not value
    if not isinstance(value, list):
        return True
    return not any(isinstance(item, dict | list) for item in value) and len(inline(value, quoted=False)) <= LINE_MAX


def block(value: Any, column: int, habits: Habits) -> Iterator[str]:
    """The lines of a mapping or a list in which something is, from a column on; without their ends."""
    indent = " " * column
    if isinstance(value, dict):
        for key, item in value.items():
            yield from entry(key, item, column, habits)
        return
    for item in value:
        if fits_a_line(item):
            yield f"{indent}- {inline(item, quoted=False)}"
            continue
        first, *rest = block(item, column + 2, habits)
        yield f"{indent}- {first.lstrip(' ')}"
        yield from rest


def entry(key: str, value: Any, column: int, habits: Habits) -> Iterator[str]:
    """The lines of a key and its value."""
    name = f"{' ' * column}{text_of(key, quoted=False)}:"
    if fits_a_line(value):
        yield f"{name} {inline(value, quoted=False)}"
        return
    yield name
    yield from block(value, column + (habits.list_step if isinstance(value, list) else habits.step), habits)


def json_lines(value: Any, indent: str, habits: Habits) -> str:
    """JSON as files have it that give each field a line of its own; the first line stands where its key does."""
    if fits_a_line(value):
        return inline(value, quoted=True)
    deeper = indent + habits.json_step
    if isinstance(value, dict):
        ends = "{}"
        words = [f"{text_of(key, quoted=True)}: {json_lines(item, deeper, habits)}" for key, item in value.items()]
    else:
        ends = "[]"
        words = [json_lines(item, deeper, habits) for item in value]
    lines = f",{habits.newline}{deeper}".join(words)
    return f"{ends[0]}{habits.newline}{deeper}{lines}{habits.newline}{indent}{ends[1]}"
