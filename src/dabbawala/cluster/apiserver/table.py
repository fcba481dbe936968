"""Forms of objects other than plain JSON: Table, which kubectl prints, and PartialObjectMetadata.

The Accept header is a list of clauses; the first one that this server can satisfy wins. Protobuf answers are not
given: every client that asks for them takes JSON too.
Source: KEP-555 server-side get, meta/v1 Table, apiextensions tableconvertor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

from dabbawala.api import cells
from dabbawala.api.kind import Column, Kind
from dabbawala.apimachinery import jsonpath, meta, status
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver.plugins import Negotiator, Representation
from dabbawala.cluster.apiserver.request import Request
from dabbawala.cluster.apiserver.response import JSON

_GROUP = "meta.k8s.io"
_VERSIONS = ("v1", "v1beta1")
_PLAIN = ("application/json", "application/*", "*/*")
_INCLUDE = ("None", "Metadata", "Object")
_DEFAULT_COLUMNS = (cells.NAME, cells.CREATED_AT)
_BROKEN = (KeyError, IndexError, TypeError, ValueError, AttributeError)


def negotiator(clock: Clock) -> Negotiator:
    """Ages in tables are counted to `clock.now()`."""

    def negotiate(request: Request, kind: Kind) -> Representation | None:
        accept = request.header("accept")
        if not accept or accept == JSON:
            return None
        for media_type, parameters in _clauses(accept):
            if media_type not in _PLAIN:
                continue
            form = parameters.get("as", "")
            if not form:
                return None
            chosen = _representation(form, parameters, request, kind, clock)
            if chosen is not None:
                return chosen
        raise status.NotAcceptable(
            "only the following media types are accepted: application/json, application/json;as=Table;"
            "g=meta.k8s.io;v=v1, application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        )

    return negotiate


@lru_cache(maxsize=256)
def _clauses(accept: str) -> list[tuple[str, dict[str, str]]]:
    parsed = []
    for clause in accept.split(","):
        media_type, *parameters = (part.strip() for part in clause.split(";"))
        parsed.append((media_type.lower(), dict(_pair(parameter) for parameter in parameters)))
    return parsed


def _pair(parameter: str) -> tuple[str, str]:
    name, _, value = parameter.partition("=")
    return name.strip().lower(), value.strip()


def _representation(
    form: str, parameters: dict[str, str], request: Request, kind: Kind, clock: Clock
) -> Representation | None:
    version = parameters.get("v", "")
    if parameters.get("g") != _GROUP or version not in _VERSIONS:
        return None
    if form == "Table":
        include = request.query.get("includeObject") or "Metadata"
        if include not in _INCLUDE:
            raise status.BadRequest(f"includeObject must be one of {', '.join(_INCLUDE)}, not {include!r}")
        return Table(kind, f"{_GROUP}/{version}", include, clock)
    if form in ("PartialObjectMetadata", "PartialObjectMetadataList"):
        return PartialMetadata(f"{_GROUP}/{version}")
    return None


class PartialMetadata:
    """Objects reduced to their metadata. Source: meta/v1 PartialObjectMetadata."""

    content_type = JSON

    def __init__(self, api_version: str) -> None:
        self._api_version = api_version

    def one(self, body: bytes) -> bytes:
        return orjson.dumps(_partial(orjson.loads(body), self._api_version))

    def many(self, bodies: Sequence[bytes], list_meta: Object) -> bytes:
        items = [_partial(orjson.loads(body), self._api_version) for body in bodies]
        head = {"kind": "PartialObjectMetadataList", "apiVersion": self._api_version, "metadata": list_meta}
        return orjson.dumps({**head, "items": items})

    def event(self, body: bytes) -> bytes:
        return self.one(body)


def _partial(obj: Object, api_version: str) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": api_version, "metadata": obj.get("metadata") or {}}


class Table:
    """Objects as rows. In a watch, the first event alone carries the column definitions."""

    content_type = JSON

    def __init__(self, kind: Kind, api_version: str, include: str, clock: Clock) -> None:
        self._columns = kind.columns or _DEFAULT_COLUMNS
        self._readers = [_reader(column) for column in self._columns]
        self._api_version = api_version
        self._include = include
        self._clock = clock
        self._told = False

    def one(self, body: bytes) -> bytes:
        obj = orjson.loads(body)
        return self._table([obj], {"resourceVersion": meta.resource_version(obj)}, definitions=True)

    def many(self, bodies: Sequence[bytes], list_meta: Object) -> bytes:
        return self._table((orjson.loads(body) for body in bodies), list_meta, definitions=True)

    def event(self, body: bytes) -> bytes:
        obj = orjson.loads(body)
        list_meta = {"resourceVersion": meta.resource_version(obj)}
        written = self._table([obj], list_meta, definitions=not self._told)
        self._told = True
        return written

    def _table(self, objects: Iterator[Object] | Sequence[Object], list_meta: Object, *, definitions: bool) -> bytes:
        now = self._clock.now()
        described = [_definition(column) for column in self._columns] if definitions else None
        head = {"kind": "Table", "apiVersion": self._api_version, "metadata": list_meta}
        rows = [self._row(obj, now) for obj in objects]
        return orjson.dumps({**head, "columnDefinitions": described, "rows": rows}, default=str)

    def _row(self, obj: Object, now: datetime) -> Object:
        shown: Object | None = None
        if self._include == "Object":
            shown = obj
        elif self._include == "Metadata":
            shown = _partial(obj, self._api_version)
        return {"cells": [_cell(reader, obj, now) for reader in self._readers], "object": shown}


def _definition(column: Column) -> Object:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


Reader = Callable[[Object, datetime], object]


def _reader(column: Column) -> Reader:
    if column.read is not None:
        return column.read
    return _path_reader(column.path, column.type)


@lru_cache(maxsize=1024)
def _path_reader(path: str, kind: str) -> Reader:
    """A cell found by JSONPath, in the type that the column promises; None shows as `<none>`."""
    compiled = jsonpath.compile_path(path)

    def read(obj: Object, now: datetime) -> object:
        value: Any = compiled.first(obj)
        if value is None:
            return None
        if kind == "date":
            return cells.since(value, now)
        if kind == "string":
            return value if isinstance(value, str) else orjson.dumps(value).decode()
        wanted: tuple[type, ...] = {"integer": (int,), "number": (int, float), "boolean": (bool,)}[kind]
        return value if isinstance(value, wanted) else None

    return read


def _cell(reader: Reader, obj: Object, now: datetime) -> object:
    """One odd object (a bookmark, something an older version stored) must not take the whole list down."""
    try:
        return reader(obj, now)
    except _BROKEN:
        return cells.UNKNOWN
