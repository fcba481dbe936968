"""One object, written as different people write YAML: orders, quotes, brackets, indentation, comments, anchors.

Each comment has a number of its own, so that a test can tell which ones are still there, and in which order.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from dabbawala.guard import scalars
from dabbawala.guard.fix import notation


class Hand:
    """Somebody who writes. The same seed writes the same text; the label sets one document's comments apart."""

    def __init__(self, seed: int, *, anchors: bool = False, label: str = "") -> None:
        self.dice = random.Random(seed)
        self._comments = 0.25
        self._label = label
        self._count = self._anchors = 0
        self._step = self.dice.choice((2, 2, 2, 4, 3))
        self._list_step = self.dice.choice((0, 2, self._step))
        self._flow = self.dice.choice((0.0, 0.1, 0.3))
        self._known: dict[str, str] | None = {} if anchors else None

    def write(self, obj: Any) -> str:
        """A document of one object."""
        lines = [*self._above(0), *self._block(obj, 0)]
        if self._chance(0.3):
            lines += ["", self._comment()]
        text = "\n".join(lines)
        if "|" in text or self._chance(0.8):  # a text below | has its last newline from the file
            text += "\n"
        return text.replace("\n", "\r\n") if self._chance(0.2) else text

    def _chance(self, share: float) -> bool:
        return self.dice.random() < share

    def _comment(self) -> str:
        self._count += 1
        gap, said = self.dice.choice((" ", "", "\t")), self.dice.choice(("why", "a: b", "- x", "é"))
        return f"#{gap}c{self._label}{self._count}: {said}"

    def _above(self, column: int) -> Iterator[str]:
        if self._chance(self._comments / 2):
            yield ""
        if self._chance(self._comments):
            yield " " * column + self._comment()

    def _behind(self, gaps: tuple[str, ...] = (" ", "   ", "\t")) -> str:
        if not self._chance(self._comments):
            return self.dice.choice(("", "", "", " "))
        return self.dice.choice(gaps) + self._comment()

    def _block(self, value: Any, column: int) -> Iterator[str]:
        """The lines of a mapping or list that is not empty."""
        indent = " " * column
        if isinstance(value, dict):
            for key in self.dice.sample(list(value), len(value)) if self._chance(0.5) else list(value):
                yield from self._above(column)
                yield from self._entry(f"{indent}{self._word(key, key=True)}:", value[key], column)
            return
        for item in value:
            yield from self._above(column)
            gap = 1 if self._chance(0.8) else 3
            if self._in_block(item) and self._chance(0.9):
                below = column + 1 + gap
                first, *rest = self._tight(item, below)
                yield f"{indent}-{' ' * gap}{first[below:]}"
                yield from rest
            else:
                yield from self._entry(f"{indent}-", item, column)

    def _tight(self, value: Any, column: int) -> list[str]:
        """As a block, its first line no comment: it stands behind a dash."""
        lines = list(self._block(value, column))
        while not lines[0].strip() or lines[0].lstrip().startswith("#"):
            lines.pop(0)
        return lines

    def _entry(self, name: str, value: Any, column: int) -> Iterator[str]:
        """The lines of a value behind its key or dash."""
        anchor = ""
        if self._known is not None and isinstance(value, dict | list) and value:
            text = json.dumps(value, sort_keys=True)
            if text in self._known and self._chance(0.7):
                yield f"{name} *{self._known[text]}{self._behind()}"
                return
            if self._chance(0.3) and text not in self._known:
                self._anchors += 1
                anchor = f" &a{self._anchors}"
                name += anchor
                yield from self._anchored(name, value, column)
                self._known[text] = anchor.strip(" &")
                return
        yield from self._anchored(name, value, column)

    def _anchored(self, name: str, value: Any, column: int) -> Iterator[str]:
        if self._in_block(value):
            deeper = self._list_step if isinstance(value, list) and not name.lstrip().startswith("-") else self._step
            yield f"{name}{self._behind((' ', '   '))}"  # readers refuse a tab behind a dash
            yield from self._block(value, column + deeper)
        elif isinstance(value, str) and "\n" in value and _literal(value) and self._chance(0.7):
            yield f"{name} |{'' if value.endswith(chr(10)) else '-'}{self._behind()}"
            indent = " " * (column + self._step)
            yield from (indent + line for line in value.removesuffix("\n").split("\n"))
        elif isinstance(value, dict | list) and value and self._chance(0.3):
            yield from self._broken(name, value, column)
        else:
            text = self._inline(value)
            yield f"{name}{' ' if text else ''}{text}{self._behind() if text else ''}"

    def _broken(self, name: str, value: Any, column: int) -> Iterator[str]:
        """In brackets, over several lines."""
        ends = "{}" if isinstance(value, dict) else "[]"
        yield f"{name} {ends[0]}{self._behind()}"
        entries = value.items() if isinstance(value, dict) else [(None, item) for item in value]
        last = len(value) - 1
        for number, (key, item) in enumerate(entries):
            text = self._inline(item, flow=True) if key is None else self._pair(key, item)
            if self._chance(0.2):
                yield " " * (column + self._step) + self._comment()
            comma = "," if number < last or self._chance(0.2) else ""
            yield f"{' ' * (column + self._step)}{text}{comma}{self._behind()}"
        yield f"{' ' * (column + 1)}{ends[1]}{self._behind()}"

    def _in_block(self, value: Any) -> bool:
        return isinstance(value, dict | list) and bool(value) and not self._chance(self._flow)

    def _inline(self, value: Any, *, flow: bool = False) -> str:
        if isinstance(value, dict):
            return "{" + self.dice.choice(("", " ")) + ", ".join(self._pair(k, v) for k, v in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(self._inline(item, flow=True) for item in value) + "]"
        if value is None and not flow:
            return self.dice.choice(("", "~", "null"))
        return self._word(value)

    def _pair(self, key: str, value: Any) -> str:
        return f"{self._word(key, key=True)}: {self._inline(value, flow=True)}"

    def _word(self, value: Any, *, key: bool = False) -> str:
        if isinstance(value, bool):
            return self.dice.choice(("true", "True", "yes", "on") if value else ("false", "no", "off"))
        if not isinstance(value, str):
            return notation.text_of(value, quoted=False)
        style = self.dice.random()
        if style < 0.2:
            return notation.text_of(value, quoted=True)
        if style < 0.3 and value.isprintable() and not key:
            return "'" + value.replace("'", "''") + "'"
        if style < 0.4 and value.isidentifier() and scalars.resolve(value) == value:
            return value
        return notation.text_of(value, quoted=False)


def _literal(value: str) -> bool:
    """Whether the text can stand below `|` as it is."""
    lines = value.removesuffix("\n").split("\n")
    return all(line and line.isprintable() and not line.startswith((" ", "\t")) for line in lines)


def as_json(obj: Any, seed: int) -> str:
    """JSON with or without lines."""
    dice = random.Random(seed)
    return json.dumps(obj, indent=dice.choice((None, 2, 4, "\t")), ensure_ascii=dice.random() < 0.5) + "\n"


def comments(text: str) -> list[str]:
    """The numbered comments of a text, in order."""
    return [part.split(":")[0].strip() for part in text.split("#")[1:] if part.strip().startswith("c")]
