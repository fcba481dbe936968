"""The `Warning` header of an answer: each text once, on one line, and never so much of it that a client cannot read it.

Source: apiserver/pkg/endpoints/filters/warning.go; RFC 7234, section 5.5.
"""

from __future__ import annotations

from collections.abc import Iterable

MAX_LETTERS = 4096
"""Of all texts together; when there is more, each is cut."""
MAX_LETTERS_EACH = 256
"""Of one text, when all together are too long."""


def of(texts: Iterable[str]) -> str:
    """The header's value; empty without texts."""
    told = list(dict.fromkeys(text for text in texts if text))
    if sum(map(len, told)) > MAX_LETTERS:
        told = [text[:MAX_LETTERS_EACH] for text in told][: MAX_LETTERS // MAX_LETTERS_EACH]
    return ", ".join(f"299 - {_quoted(text)}" for text in told)


def _quoted(text: str) -> str:
    """Nothing in a text, such as the name of a field that somebody sent, can end the header."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    escaped = line.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
