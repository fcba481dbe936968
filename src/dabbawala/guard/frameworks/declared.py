"""What manifests declare about a question: environment variables and keys of ConfigMaps such as DATA_RESIDENCY=INDIA.

A declaration is the word of who wrote the manifest. It is shown with its place, beside what checks have found, and
alone it never makes more than part of the evidence. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from dabbawala.apimachinery.meta import Object
from dabbawala.guard.documents import Document
from dabbawala.guard.engine import subject_of
from dabbawala.guard.findings import Place, Subject
from dabbawala.guard.frameworks.catalogue import Named

DEPTH_MAX = 64
"""Levels of an object that are looked through."""


@dataclass(frozen=True, slots=True, order=True)
class Declaration:
    """`setting` is name and value as they are written."""

    question: str
    setting: str
    subject: Subject
    place: Place


def of_documents(documents: Iterable[Document], asked: Iterable[Named]) -> list[Declaration]:
    """What objects declare about these questions, in the order of questions and places."""
    patterns = [(each.name, name, re.compile(value)) for each in asked for name, value in each.settings]
    found = set()
    for document in documents:
        for field, name, value in settings(document.object):
            for question, wanted, pattern in patterns:
                if fnmatchcase(name, wanted) and pattern.fullmatch(value):
                    subject = subject_of(document.object)
                    found.add(Declaration(question, f"{name}={value}", subject, document.place(field)))
    return sorted(found)


def settings(obj: Object) -> Iterator[tuple[str, str, str]]:
    """Variables of containers and keys of a ConfigMap: field, name and value. What refers elsewhere has no value."""
    if obj.get("kind") == "ConfigMap":
        data = obj.get("data")
        pairs = data.items() if isinstance(data, Mapping) else ()
        yield from ((f"data.{name}", str(name), value) for name, value in pairs if isinstance(value, str))
        return
    yield from _variables(obj, "", 0)


def _variables(value: Any, path: str, depth: int) -> Iterator[tuple[str, str, str]]:
    if depth > DEPTH_MAX:
        return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            where = f"{path}.{key}" if path else str(key)
            if key == "env" and isinstance(inner, list):
                yield from _env(inner, where)
            else:
                yield from _variables(inner, where, depth + 1)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            label = inner.get("name") if isinstance(inner, Mapping) else None
            yield from _variables(inner, f"{path}[{label if isinstance(label, str) else number}]", depth + 1)


def _env(rows: list[Any], path: str) -> Iterator[tuple[str, str, str]]:
    for row in rows:
        if isinstance(row, Mapping) and isinstance(row.get("name"), str) and isinstance(row.get("value"), str):
            yield f"{path}[{row['name']}].value", row["name"], row["value"]
