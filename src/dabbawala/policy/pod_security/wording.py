"""The words of the violations: names in quotes, singular and plural, who set what. Source: policy/helpers.go."""

from __future__ import annotations

from collections.abc import Collection, Iterable

_ESCAPES = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", '"': '\\"', "\\": "\\\\"
}  # fmt: skip


def quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def plural(singular: str, many: Collection[object]) -> str:
    return singular if len(many) == 1 else singular + "s"


def containers(names: Collection[str]) -> str:
    """E.g. `containers "a", "b"`."""
    return f"{plural('container', names)} {quoted(names)}"


def setters(pod: bool, names: Collection[str], *others: str) -> str:
    """Who set something: the pod, containers, both."""
    listed = [*(["pod"] if pod else []), *([containers(names)] if names else []), *others]
    return " and ".join(listed)


def literal(text: str) -> str:
    """A text as Go's %q writes it."""
    return '"' + "".join(_escaped(letter) for letter in text) + '"'


def _escaped(letter: str) -> str:
    known = _ESCAPES.get(letter)
    if known is not None:
        return known
    if letter.isprintable():
        return letter
    code = ord(letter)
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
