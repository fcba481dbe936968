"""Kustomize: overlays rendered by kustomize itself, with each field led back to the file that it comes from.

A kustomization of our own around the one that is asked for makes kustomize note each object's origin. A field is the
origin's when it has the same value there; what patches, generators and transformers made is a rendered line, and says
so.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import orjson

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.guard import documents
from dabbawala.guard.decoding import FILE_BYTES_MAX
from dabbawala.guard.documents import Document, Reading
from dabbawala.guard.findings import Place, Problem

FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
ORIGIN = "config.kubernetes.io/origin"

_PATH = re.compile(r"^path: (.+)$", re.MULTILINE)
_LOGGED = re.compile(r'[EF]\d{4} [\d:.]+ +\d+ \S+\] "command failed" err="(.*)"', re.DOTALL)
"""A complaint as kubectl logs it since 1.34: behind the time and a process id, which differ each time."""
_AT_LINE = re.compile(r"invalid Kustomization: .*\bline (\d+)")
_QUOTED = re.compile(r"""['"]([^'"]+)['"]""")
_INCLUDES = ("resources", "bases", "components")
_MISSING_REMEDY = "Install kubectl or kustomize and put it on PATH, or scan the output of `kubectl kustomize`."


def file_of(folder: Path) -> Path | None:
    """The kustomization of a folder, if it is one."""
    return next((folder / name for name in FILES if (folder / name).is_file()), None)


def included(folder: Path) -> Iterator[Path]:
    """The folders that a kustomization builds on; nothing of one that cannot be read."""
    for document in _documents(file_of(folder)):
        for field in _INCLUDES:
            entries = document.object.get(field)
            for entry in entries if isinstance(entries, list) else ():
                if isinstance(entry, str) and (folder / entry).is_dir():
                    yield (folder / entry).resolve()


def is_component(folder: Path) -> bool:
    """Whether it is only a part, which nothing renders alone."""
    return any(document.object.get("kind") == "Component" for document in _documents(file_of(folder)))


def _documents(file: Path | None) -> list[Document]:
    try:
        if file is None or file.stat().st_size > FILE_BYTES_MAX:
            return []
        return documents.read(file, file.read_bytes()).documents
    except OSError:
        return []


def read(folder: str) -> Reading:
    """The objects that a folder's kustomization renders to."""
    import tempfile  # what these import costs a scan of plain files a tenth of its start

    from dabbawala.guard import rendering

    file = str(file_of(Path(folder)) or folder)
    kustomize, kubectl = rendering.tool("kustomize"), rendering.tool("kubectl")
    if kustomize is None and kubectl is None:
        message = "the kustomization cannot be rendered: neither kubectl nor kustomize is installed"
        return Reading([], [Problem(Place(file), "kustomize-missing", message, _MISSING_REMEDY)])
    build = [kustomize, "build"] if kustomize else [str(kubectl), "kustomize"]
    with tempfile.TemporaryDirectory(prefix="guard-") as made:
        around = Path(made).resolve()
        wanted = os.path.relpath(Path(folder).resolve(), around)
        asked = {"resources": [wanted], "buildMetadata": ["originAnnotations"]}
        (around / FILES[0]).write_bytes(orjson.dumps(asked))
        rendered = rendering.run([*map(str, build), str(around)])
        if rendered.failure:
            return Reading([], [_failed(file, rendered.failure)])
        return _led_back(file, rendered.out, around)


def _led_back(file: str, out: bytes, around: Path) -> Reading:
    reading = documents.read(file, out)
    known: dict[Path, list[Document]] = {}
    for document in reading.documents:
        source = _source_of(document.object, around)
        if source is not None and source not in known:
            known[source] = _documents(source)
        document.origin = FieldOrigin(file, _counterpart(document, known.get(source, []) if source else []))
    problems = [
        Problem(Place(file, item.place.line, 1, item.place.line, rendered=True), item.code, item.message, item.remedy)
        for item in reading.problems
    ]
    return Reading(reading.documents, problems)


def _source_of(obj: Object, around: Path) -> Path | None:
    """The file that the object's note names; the note itself goes."""
    annotations = meta.annotations(obj)
    noted = annotations.get(ORIGIN)
    if not isinstance(noted, str):
        return None
    kept = {key: value for key, value in annotations.items() if key != ORIGIN}
    obj["metadata"]["annotations"] = kept
    if not kept:
        del obj["metadata"]["annotations"]
    found = _PATH.search(noted)
    return (around / found[1]).resolve() if found and "repo:" not in noted else None


def _counterpart(document: Document, candidates: list[Document]) -> Document | None:
    """The object of the source that was rendered: of the same kind, its name changed by prefix and suffix at most."""
    name = meta.name(document.object)
    same = [item for item in candidates if item.object.get("kind") == document.object.get("kind")]
    exact = [item for item in same if meta.name(item.object) == name]
    close = exact or [item for item in same if meta.name(item.object) in name]
    return close[0] if len(close) == 1 else None


class FieldOrigin:
    """Where the fields of a rendered object come from."""

    def __init__(self, file: str, source: Document | None) -> None:
        self._file = file
        self._source = source

    def place(self, document: Document, path: str) -> Place:
        rendered = document.position(path)
        if self._source is not None:
            found, value = self._source.position(path), self._source.value(path)
            if found.exact is rendered.exact and (not found.exact or value == document.value(path)):
                return Place(_shown(self._source.file), found.line, found.column, found.end_line, path)
        return Place(self._file, rendered.line, rendered.column, rendered.end_line, path, rendered=True)


def _shown(file: str) -> str:
    """As a person would name it from where they are."""
    near = os.path.relpath(file)
    return near if not near.startswith("..") else file


def _failed(file: str, failure: str) -> Problem:
    """kustomize's complaint, at the line of the kustomization that has the last thing it names."""
    logged = _LOGGED.search(failure)
    failure = logged[1].replace('\\"', '"') if logged else failure
    message = " ".join(failure.split()).removeprefix("error: ").removeprefix("Error: ")
    told = _AT_LINE.search(message)
    line = int(told[1]) if told else _blamed(Path(file), _QUOTED.findall(failure))
    remedy = "Correct the kustomization; `kubectl kustomize` on the folder shows the same complaint."
    return Problem(Place(file, line, 1 if line else 0), "kustomize", f"kustomize cannot build it: {message}", remedy)


def _blamed(file: Path, named: list[str]) -> int:
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return 0
    for name in reversed(named):
        for number, line in enumerate(lines, 1):
            if name in line:
                return number
    return 0
