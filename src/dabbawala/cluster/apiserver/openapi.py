"""OpenAPI: `/openapi/v3`, one document for each group and version, and `/openapi/v2` as one document of definitions.

kubectl checks here whether a kind knows field validation and strategic merge, and explains fields from it. Documents
are built from the schema table when somebody asks for one, in a thread, and kept compressed; the index only needs to
know when they change. Answers are JSON. kubectl insists on protobuf for version 2, which it asks about kinds that
version 3 does not know; it gets a document without paths, goes on, and tells its user that there is no such kind.
Source: KEP-2896 OpenAPI v3.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import schema, status
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import openapi_paths, response
from dabbawala.cluster.apiserver.discovery import grouped
from dabbawala.cluster.apiserver.plugins import Endpoint
from dabbawala.cluster.apiserver.request import Request
from dabbawala.cluster.apiserver.resources import KindSet
from dabbawala.cluster.apiserver.response import Response

_REF = openapi_paths.REF
_ROOT = "/openapi/v3"
_V2 = "/openapi/v2"
_V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
_EMPTY_V2 = b"\x0a\x032.0"  # a Document of gnostic's openapiv2 with `swagger` alone
_COMPRESSION = 5
_OBJECT_FIELDS: Mapping[str, Any] = {
    "apiVersion": {"type": "string", "description": "The versioned schema of this representation of an object."},
    "kind": {"type": "string", "description": "The REST resource this object represents."},
    "metadata": {
        "allOf": [{"$ref": _REF + schema.OBJECT_META}],
        "description": "Standard object's metadata.",
    },
}


class OpenAPI:
    """The documents of a set of kinds; each is built once for each content of its group and version."""

    def __init__(self, kinds: KindSet) -> None:
        self._kinds = kinds
        self._version = -1
        self._groups: dict[str, list[Kind]] = {}
        self._hashes: dict[str, str] = {}
        self._built: dict[str, tuple[str, asyncio.Task[bytes]]] = {}

    def endpoints(self) -> dict[str, Endpoint]:
        return {_ROOT: self.index, f"{_ROOT}/": self.document, _V2: self.definitions}

    async def index(self, request: Request) -> Response:
        self._refresh()
        paths = {path: {"serverRelativeURL": f"{_ROOT}/{path}?hash={digest}"} for path, digest in self._hashes.items()}
        return response.json({"paths": paths})

    async def document(self, request: Request) -> Response:
        self._refresh()
        path = request.path.removeprefix(_ROOT).strip("/")
        digest = self._hashes.get(path)
        if digest is None:
            raise status.NotFound("the server could not find the requested resource")
        given = request.query.get("hash")
        if given and given != digest:
            return Response(301, b"", {"location": f"{_ROOT}/{path}?hash={digest}"})
        kinds = self._groups[path]
        body = await self._cached(path, digest, lambda: _document(path, kinds))
        headers = {"cache-control": "public, immutable"} if given else {}
        return _compressed(request, body, digest, headers)

    async def definitions(self, request: Request) -> Response:
        """All definitions in the form of version 2, without paths."""
        accept = request.header("accept", "*/*")
        if not any(wanted in accept for wanted in ("application/json", "*/*", "application/*")):
            if _V2_PROTOBUF not in accept:
                raise status.NotFound("only application/json is served at /openapi/v2; use /openapi/v3")
            return Response(200, _EMPTY_V2, {"content-type": _V2_PROTOBUF.replace("@", ".")})  # a valid media type
        self._refresh()
        digest = hashlib.sha256("".join(self._hashes.values()).encode()).hexdigest().upper()
        kinds = [kind for listed in self._groups.values() for kind in listed]
        body = await self._cached(_V2, digest, lambda: _definitions(kinds))
        return _compressed(request, body, digest, {})

    def _refresh(self) -> None:
        if self._version == self._kinds.version:
            return
        self._groups = {
            (f"apis/{group}/{version}" if group else f"api/{version}"): kinds
            for group, versions in grouped(self._kinds.all()).items()
            for version, kinds in versions.items()
        }
        self._hashes = {path: _digest(kinds) for path, kinds in self._groups.items()}
        self._version = self._kinds.version

    async def _cached(self, path: str, digest: str, build: Any) -> bytes:
        """The gzip of what `build` makes; built once although many ask at the same time."""
        known = self._built.get(path)
        if known is None or known[0] != digest or _failed(known[1]):
            task = asyncio.ensure_future(asyncio.to_thread(lambda: gzip.compress(build(), _COMPRESSION)))
            known = self._built[path] = (digest, task)
        return await asyncio.shield(known[1])


def _failed(task: asyncio.Task[bytes]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _compressed(request: Request, body: bytes, digest: str, headers: Mapping[str, str]) -> Response:
    etag = f'"{digest}"'
    shown = {"content-type": response.JSON, "etag": etag, "vary": "Accept-Encoding, Accept", **headers}
    if request.header("if-none-match") == etag:
        return Response(304, b"", shown)
    if "gzip" in request.header("accept-encoding"):
        return Response(200, body, {**shown, "content-encoding": "gzip"})
    return Response(200, gzip.decompress(body), shown)


def _digest(kinds: Iterable[Kind]) -> str:
    """Changes when the document would. Built-in definitions only change with the Kubernetes version."""
    digest = hashlib.sha256(schema.kubernetes_version().encode())
    for kind in kinds:
        told = (kind.api_version, kind.kind, kind.plural, kind.namespaced, sorted(kind.subresources), kind.schema)
        digest.update(repr(told).encode())
        if kind.custom and kind.open_api is not None:
            digest.update(orjson.dumps(kind.open_api(), option=orjson.OPT_SORT_KEYS))
    return digest.hexdigest().upper()


def _document(path: str, kinds: list[Kind]) -> bytes:
    paths: Object = {}
    for kind in kinds:
        paths |= openapi_paths.paths(kind)
    document = {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": f"v{schema.kubernetes_version()}"},
        "paths": paths,
        "components": {"schemas": _schemas(kinds)},
    }
    return orjson.dumps(document)


def _schemas(kinds: Iterable[Kind]) -> Object:
    """Every schema that the kinds need, by definition name, with descriptions."""
    custom = {openapi_paths.schema_name(kind): _custom(kind) for kind in kinds if kind.open_api is not None}
    wanted: set[str] = set()
    for kind in kinds:
        if kind.schema:
            wanted |= schema.references(kind.schema)
    for definition in custom.values():
        for name in _references(definition):
            wanted |= schema.references(name)
    texts = schema.descriptions(sorted(wanted))
    built_in = {name: _described(schema.definition(name), texts.get(name) or {}) for name in sorted(wanted)}
    return built_in | custom


def _references(node: Any) -> set[str]:
    if isinstance(node, list):
        return {name for item in node for name in _references(item)}
    if not isinstance(node, dict):
        return set()
    ref = node.get("$ref")
    own = {ref.removeprefix(_REF)} if isinstance(ref, str) else set()
    return own.union(*(_references(item) for item in node.values()))


def _described(definition: Mapping[str, Any], texts: Mapping[str, str]) -> Object:
    """The definition with its own text and those of its fields; a reference with a text is wrapped in `allOf`."""
    result = dict(definition)
    if texts.get(""):
        result["description"] = texts[""]
    if "properties" in definition:
        result["properties"] = {
            name: _field(node, texts.get(name, "")) for name, node in definition["properties"].items()
        }
    return result


def _field(node: Mapping[str, Any], text: str) -> Object:
    if not text:
        return dict(node)
    if "$ref" in node:
        siblings = {key: value for key, value in node.items() if key != "$ref"}
        return {**siblings, "allOf": [{"$ref": node["$ref"]}], "description": text}
    return {**node, "description": text}


def _custom(kind: Kind) -> Object:
    assert kind.open_api is not None
    given: dict[str, Any] = dict(kind.open_api())
    given["properties"] = {**(given.get("properties") or {}), **_OBJECT_FIELDS}
    identity = {"group": kind.group, "version": kind.version, "kind": kind.kind}
    return {**given, "x-kubernetes-group-version-kind": [identity]}


def _definitions(kinds: list[Kind]) -> bytes:
    document = {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": f"v{schema.kubernetes_version()}"},
        "paths": {},
        "definitions": _schemas(kinds),
    }
    return orjson.dumps(document).replace(_REF.encode(), b"#/definitions/")
