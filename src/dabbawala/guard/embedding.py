"""What stands in files beside Kubernetes objects: scripts in commands and ConfigMaps, rules, dashboards, pipelines.

Each becomes a document of its own, under an apiVersion that no server has (`shapes.API_VERSION`), so that checks are
asked about it as about any object; its positions lead to the line of the file, inside a block of text too. `spec` of a
YAML or JSON document is what is written, of anything else what `languages` makes of it. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dabbawala.apimachinery.meta import Object
from dabbawala.guard import decoding, documents
from dabbawala.guard.documents import Document, Reading
from dabbawala.guard.findings import Place
from dabbawala.guard.languages import pipelines, shapes

TEXTS_MAX = 200
"""Texts of one document that are looked into."""

_LINE = re.compile(r"lines\[(\d+)\]")
_BLOCK = re.compile(r"(?:^|[\s:\-])\|[0-9+-]*\s*(?:#.*)?$")
_SHELL = re.compile(r"(?:.*/)?(?:ba|da|k|a)?sh")
_COMMAND_FLAG = re.compile(r"-[a-z]*c[a-z]*")
_TEMPLATES = (
    ("spec", "template", "spec"), ("spec", "jobTemplate", "spec", "template", "spec"), ("spec",),
)  # fmt: skip
_CONTAINERS = ("initContainers", "containers")
_HOOKS = (
    ("lifecycle", "preStop"),
    ("lifecycle", "postStart"),
    ("livenessProbe",),
    ("readinessProbe",),
    ("startupProbe",),
)


@dataclass(frozen=True, slots=True)
class _Text:
    """A text in a document: where it is, what it is called, and how it is started, if it is a script. `more` are the
    fields, after the first, whose texts follow in the same script."""

    path: str
    name: str
    text: str
    options: tuple[str, ...] = ()
    interpreter: str = ""
    more: tuple[tuple[str, int], ...] = ()


class _Wrapped:
    """Positions of a document that was put under `spec`."""

    def __init__(self, inner: Document) -> None:
        self.inner = inner

    def place(self, document: Document, path: str) -> Place:
        return self.inner.place(_inside(path))


class _Lines:
    """Positions in a file of plain text: `lines[12]` is its twelfth."""

    def __init__(self, file: str) -> None:
        self.file = file

    def place(self, document: Document, path: str) -> Place:
        line = _line(path)
        return Place(self.file, line, 1, line, path)


class _Within:
    """Positions in texts of another document. `inner` is what was read from the text, where it is YAML or JSON."""

    def __init__(self, host: Document, text: _Text, inner: Document | None = None) -> None:
        self.host = host
        self.text = text
        self.inner = inner

    def place(self, document: Document, path: str) -> Place:
        line = _line(path) if self.inner is None else self.inner.position(_inside(path)).line
        field, first = self.text.path, 1
        for other, begins in self.text.more:
            if line >= begins:
                field, first = other, begins
        spot = self.host.place(field)
        if spot.rendered or not _BLOCK.search(self._written(spot.line)):
            return spot
        at = spot.line + line - first + 1
        return Place(spot.file, at, 1, at, field)

    def _written(self, line: int) -> str:
        origin = self.host.origin
        return (origin.inner if isinstance(origin, _Wrapped) else self.host).source_line(line)


def _line(path: str) -> int:
    found = _LINE.search(path)
    return int(found[1]) if found is not None else 1


def _inside(path: str) -> str:
    return path.removeprefix("spec").removeprefix(".")


def read(file: str, data: bytes) -> Reading:
    """The documents of a file, whatever it is."""
    kind = shapes.of_text(file)
    if not kind:
        return documents.read(file, data)
    text, problem = decoding.decoded(file, data)
    if text is None:
        return Reading([], [problem] if problem is not None else [])
    found = documents.made(_object(kind, {"name": file}, _model(kind, text, "", ())), text, file=file)
    found.origin = _Lines(file)
    return Reading([found], [])


def documents_of(document: Document) -> Iterator[Document]:
    """The document, if checks can be asked about it, and what stands in it."""
    if document.is_object:
        yield document
        yield from _embedded(document)
        return
    obj = document.object
    kind = shapes.of_document(document.file, obj)
    if kind:
        whole = documents.made(_object(kind, {"name": document.file}, obj), "", file=document.file)
        whole.origin = _Wrapped(document)
        yield whole
        if kind == shapes.PIPELINE:
            yield from (_script(whole, text) for text in _of_pipeline(obj))


def _embedded(host: Document) -> Iterator[Document]:
    obj = host.object
    if obj["kind"] == "ConfigMap":
        data = obj.get("data")
        for key, text in list(data.items())[:TEXTS_MAX] if isinstance(data, dict) else ():
            if isinstance(text, str) and "\n" in text:
                yield from _of_config(host, key, text)
        return
    for index, text in enumerate(_of_pods(obj)):
        if index >= TEXTS_MAX:
            return
        yield _script(host, text)


def _of_config(host: Document, key: str, text: str) -> Iterator[Document]:
    said = _Text(f"data['{key}']", key, text)
    kind = shapes.of_value(host.file, key, text)
    if kind:
        found = documents.made(_object(kind, _metadata(host, key), _model(kind, text, "", ())), "", file=host.file)
        found.origin = _Within(host, said)
        yield found
    elif shapes.is_structured(key, text):
        for inner in documents.read(key, text.encode()).documents:
            known = "" if inner.is_object else shapes.of_document(key, inner.object)
            if known:
                found = documents.made(_object(known, _metadata(host, key), inner.object), "", file=host.file)
                found.origin = _Within(host, said, inner)
                yield found


def _script(host: Document, text: _Text) -> Document:
    spec = _model(shapes.SCRIPT, text.text, text.interpreter, text.options)
    found = documents.made(_object(shapes.SCRIPT, _metadata(host, text.name), spec), "", file=host.file)
    found.origin = _Within(host, text)
    return found


def _model(kind: str, text: str, interpreter: str, options: tuple[str, ...]) -> Object:
    """By a language that is imported when there is a text in it: a scan starts often."""
    if kind == shapes.DOCKERFILE:
        from dabbawala.guard.languages import dockerfile

        return dockerfile.model(text)
    if kind == shapes.FLUENTD:
        from dabbawala.guard.languages import fluentd

        return fluentd.model(text)
    from dabbawala.guard.languages import shell

    return shell.model(text, interpreter=interpreter, options=options)


def _object(kind: str, metadata: Object, spec: Any) -> Object:
    return {"apiVersion": shapes.API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def _metadata(host: Document, part: str) -> Object:
    """As what it stands in, so that exceptions for that are exceptions for this."""
    obj = host.object
    given = obj.get("metadata")
    metadata = given if isinstance(given, dict) else {}
    kept = {field: metadata[field] for field in ("namespace", "labels") if metadata.get(field)}
    return {**kept, "name": f"{metadata.get('name') or metadata.get('generateName') or ''}/{part}"}


def _of_pods(obj: Mapping[str, Any]) -> Iterator[_Text]:
    """Scripts that containers are started with, and that hooks and probes run."""
    for way in _TEMPLATES:
        spec: Any = obj
        for field in way:
            spec = spec.get(field) if isinstance(spec, dict) else None
        if not isinstance(spec, dict) or not isinstance(spec.get("containers"), list):
            continue
        for group in _CONTAINERS:
            for container in spec.get(group) or () if isinstance(spec.get(group), list) else ():
                if isinstance(container, dict):
                    path = f"{'.'.join(way)}.{group}[{container.get('name')}]"
                    yield from _of_container(container, path, str(container.get("name") or ""))
        return


def _of_container(container: Mapping[str, Any], path: str, name: str) -> Iterator[_Text]:
    words = [
        (f"{path}.{field}[{index}]", word)
        for field in ("command", "args")
        for index, word in enumerate(container[field] if isinstance(container.get(field), list) else ())
    ]
    yield from _of_words(words, name)
    for way in _HOOKS:
        found: Any = container
        for field in (*way, "exec", "command"):
            found = found.get(field) if isinstance(found, dict) else None
        if isinstance(found, list):
            at = f"{path}.{'.'.join(way)}.exec.command"
            yield from _of_words([(f"{at}[{index}]", word) for index, word in enumerate(found)], f"{name}/{way[-1]}")


def _of_words(words: list[tuple[str, Any]], name: str) -> Iterator[_Text]:
    """The script in `sh -c …`."""
    if len(words) < 3 or not _SHELL.fullmatch(str(words[0][1])):
        return
    for index, (_, word) in enumerate(words[1:-1], 1):
        valued = str(words[index - 1][1]).endswith("o")  # -euo pipefail
        if not isinstance(word, str) or not (word.startswith("-") or valued):
            return
        if _COMMAND_FLAG.fullmatch(word):
            path, text = words[index + 1]
            flags = tuple(str(word) for _, word in words[1 : index + 1])
            if isinstance(text, str):
                yield _Text(path, name, text, flags, str(words[0][1]).rpartition("/")[2])
            return


def _of_pipeline(obj: Mapping[str, Any]) -> Iterator[_Text]:
    """GitLab joins before_script and script, and stops at the first line that fails; bash where the image has it."""
    for name, job in obj.items():
        if not isinstance(job, dict) or name in pipelines.KEYWORDS - {"default"}:
            continue
        for field in ("before_script", "script", "after_script"):
            text = _joined(job.get(field), f"spec['{name}'].{field}", f"{name}.{field}")
            if text is not None:
                yield text


def _joined(given: Any, path: str, name: str) -> _Text | None:
    if isinstance(given, str):
        return _Text(path, name, given, ("-e",))
    if not isinstance(given, list) or not given:
        return None
    lines, parts, more = 1, [], []
    for index, item in enumerate(given):
        if isinstance(item, str):
            more.append((f"{path}[{index}]", lines))
            parts.append(item.rstrip("\n"))
            lines += parts[-1].count("\n") + 1
    return _Text(path, name, "\n".join(parts), ("-eo", "pipefail"), "", tuple(more)) if parts else None
