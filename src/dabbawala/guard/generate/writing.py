"""Objects as YAML that a person will read and keep: fields in the order of the plan, and above what needs one a comment
that says why it is there. The same plan always gives the same bytes. Pure."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from dabbawala.apimachinery.meta import Object

WIDTH = 116


@dataclass(frozen=True, slots=True)
class Piece:
    """An object, why it is there, and why some of its fields are: `spec.ingress[0]` -> a sentence."""

    object: Object
    why: str
    notes: Mapping[str, str] = field(default_factory=dict)


def render(pieces: Iterable[Piece], head: str = "") -> str:
    """A YAML stream. `head` stands above all."""
    parts = ["\n".join([*_comment(piece.why, 0), *_mapping(piece.object, "", 0, piece.notes)]) for piece in pieces]
    opening = "".join(f"{line}\n" for line in _comment(head, 0))
    return opening + "".join(f"---\n{part}\n" for part in parts)


def _comment(text: str, indent: int) -> list[str]:
    """Of names in logs anything can be made; none may end the line of its comment."""
    room = WIDTH - indent - 2
    text = "".join(each if each.isprintable() or each == "\n" else " " for each in text)
    return [f"{' ' * indent}# {line}" for part in text.split("\n") if part for line in textwrap.wrap(part, room)]


def _mapping(value: Mapping[str, Any], path: str, indent: int, notes: Mapping[str, str]) -> Iterator[str]:
    for key, inner in value.items():
        own = f"{path}.{key}" if path else key
        yield from _comment(notes.get(own, ""), indent)
        yield from _entry(f"{' ' * indent}{_scalar(key)}:", inner, own, indent, notes=notes)


def _entry(lead: str, value: Any, path: str, indent: int, *, notes: Mapping[str, str]) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        yield lead
        yield from _mapping(value, path, indent + 2, notes)
    elif isinstance(value, list) and value:
        if all(isinstance(item, str) and len(item) < 40 for item in value) and not _noted(path, notes):
            flow = f"{lead} [{', '.join(map(_in_flow, value))}]"
            if len(flow) <= WIDTH:
                yield flow
                return
        yield lead
        yield from _items(value, path, indent + 2, notes)
    else:
        yield from _leaf(lead, value, indent)


def _noted(path: str, notes: Mapping[str, str]) -> bool:
    return any(note.startswith(f"{path}[") for note in notes)


def _items(value: list[Any], path: str, indent: int, notes: Mapping[str, str]) -> Iterator[str]:
    pad = " " * indent
    for number, item in enumerate(value):
        own = f"{path}[{number}]"
        yield from _comment(notes.get(own, ""), indent)
        if isinstance(item, Mapping) and item:
            first, *rest = _mapping(item, own, indent + 2, notes)
            yield f"{pad}- {first[indent + 2 :]}"
            yield from rest
        else:
            yield from _leaf(f"{pad}-", item, indent)


def _leaf(lead: str, value: Any, indent: int) -> Iterator[str]:
    text = value if isinstance(value, str) else ""
    if len(lead) + len(text) > WIDTH and "  " not in text and text == text.strip() and text.isprintable():
        yield f"{lead} >-"
        wrapped = textwrap.wrap(text, WIDTH - indent - 2, break_long_words=False, break_on_hyphens=False)
        yield from (f"{' ' * (indent + 2)}{line}" for line in wrapped)
    else:
        yield f"{lead} {_scalar(value)}"


def _in_flow(text: str) -> str:
    """In brackets some characters mean something that they do not mean alone."""
    shown = _scalar(text)
    return json.dumps(text) if shown == text and set(text) & set("[]{},") else shown


def _scalar(value: Any) -> str:
    if isinstance(value, str) and not value.isprintable():
        quoted: str = yaml.safe_dump(value, default_style='"', width=10**6, allow_unicode=True)
        return quoted.rstrip("\n")
    if isinstance(value, Mapping | list):  # empty, or a list in a list, as no kind has one
        flow: str = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
        return flow.rstrip("\n")
    shown: str = yaml.safe_dump(value, width=10**6, allow_unicode=True)
    return shown.removesuffix("\n").removesuffix("\n...")
