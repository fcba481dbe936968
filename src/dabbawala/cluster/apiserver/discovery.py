"""Discovery: which groups, versions and resources there are, in the aggregated and in the legacy form.

Everything is read off the kinds. kubectl and client-go ask for the aggregated documents; drain, `auth can-i` and the
Python clients read the legacy ones. Both are built once for each change of the kinds.
Source: KEP-3352 aggregated discovery, meta/v1 APIResourceList, apidiscovery.k8s.io/v2.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import status
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import response
from dabbawala.cluster.apiserver.plugins import Endpoint
from dabbawala.cluster.apiserver.request import Request
from dabbawala.cluster.apiserver.resources import KindSet
from dabbawala.cluster.apiserver.response import Response

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_PLAIN = ("application/json", "application/*", "*/*")


class Subresource(NamedTuple):
    """The kind a subresource takes or gives (empty group and version: those of its parent) and its verbs."""

    kind: str
    verbs: tuple[str, ...]
    group: str = ""
    version: str = ""


_WRITE_PART = ("get", "patch", "update")
_STREAM = ("create", "get")
_PROXY = ("create", "delete", "get", "patch", "update")
_SUBRESOURCES = {
    "scale": Subresource("Scale", _WRITE_PART, "autoscaling", "v1"),
    "eviction": Subresource("Eviction", ("create",), "policy", "v1"),
    "token": Subresource("TokenRequest", ("create",), "authentication.k8s.io", "v1"),
    "binding": Subresource("Binding", ("create",)),
    "log": Subresource("Pod", ("get",)),
    "exec": Subresource("PodExecOptions", _STREAM),
    "attach": Subresource("PodAttachOptions", _STREAM),
    "portforward": Subresource("PodPortForwardOptions", _STREAM),
}


def subresource(kind: Kind, name: str) -> Subresource:
    """What a kind's subresource is. The rest (`status`, `finalize`) is the kind itself, in part."""
    if name == "proxy":
        return Subresource(f"{kind.kind}ProxyOptions", _PROXY)
    if name == "finalize":
        return Subresource(kind.kind, ("update",))
    return _SUBRESOURCES.get(name) or Subresource(kind.kind, _WRITE_PART)


def grouped(kinds: Iterable[Kind]) -> dict[str, dict[str, list[Kind]]]:
    """Group -> version -> kinds; groups as declared, versions with the preferred one first."""
    found: dict[str, dict[str, list[Kind]]] = {}
    for kind in kinds:
        found.setdefault(kind.group, {}).setdefault(kind.version, []).append(kind)
    return {
        group: {version: sorted(versions[version], key=lambda kind: kind.plural) for version in _preferred(versions)}
        for group, versions in found.items()
    }


def _preferred(versions: Iterable[str]) -> list[str]:
    return sorted(versions, key=version_rank)


def version_rank(version: str) -> tuple[Any, ...]:
    """v2, v1, v1beta2, v1beta1, v1alpha1, then anything else by name. Source: apimachinery/pkg/version."""
    match = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if match is None:
        return (3, version)
    major, stage, minor = match.groups()
    return ({None: 0, "beta": 1, "alpha": 2}[stage], -int(major), -int(minor or 0))


class Discovery:
    """The discovery documents of a set of kinds, rebuilt when the set changes."""

    def __init__(self, kinds: KindSet) -> None:
        self._kinds = kinds
        self._version = -1
        self._documents: dict[str, bytes] = {}
        self._aggregated: dict[str, tuple[bytes, str]] = {}

    def endpoints(self) -> dict[str, Endpoint]:
        return {"/api": self.serve, "/api/": self.serve, "/apis": self.serve, "/apis/": self.serve}

    async def serve(self, request: Request) -> Response:
        if self._version != self._kinds.version:
            self._rebuild()
        path = request.path.rstrip("/")
        if path in self._aggregated and _wants_aggregated(request.header("accept")):
            body, etag = self._aggregated[path]
            headers = {"content-type": AGGREGATED, "etag": etag, "vary": "Accept"}
            if request.header("if-none-match") == etag:
                return Response(304, b"", headers)
            return Response(200, body, headers)
        document = self._documents.get(path)
        if document is None:
            raise status.NotFound("the server could not find the requested resource")
        return response.json_bytes(document, headers={"vary": "Accept"})

    def _rebuild(self) -> None:
        groups = grouped(self._kinds.all())
        core = {"": groups.get("", {})}
        named = {group: versions for group, versions in groups.items() if group}
        documents: dict[str, Object] = {
            "/api": {
                "kind": "APIVersions",
                "versions": list(core[""]),
                "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}],
            },
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(*item) for item in named.items()]},
        }
        for group, versions in groups.items():
            root = f"/apis/{group}" if group else "/api"
            if group:
                documents[root] = {"kind": "APIGroup", "apiVersion": "v1", **_group(group, versions)}
            for version, kinds in versions.items():
                documents[f"{root}/{version}"] = _resource_list(group, version, kinds)
        self._documents = {path: orjson.dumps(document) for path, document in documents.items()}
        self._aggregated = {"/api": _aggregated(core), "/apis": _aggregated(named)}
        self._version = self._kinds.version


def _wants_aggregated(accept: str) -> bool:
    """Whether the first clause that can be satisfied asks for the aggregated form."""
    for clause in accept.split(","):
        media_type, *parameters = (part.strip() for part in clause.split(";"))
        wanted = set(parameters)
        if media_type == "application/json" and "as=APIGroupDiscoveryList" in wanted:
            if {"g=apidiscovery.k8s.io", "v=v2"} <= wanted:
                return True
        elif media_type in _PLAIN:
            return False
    return False


def _group(group: str, versions: Iterable[str]) -> Object:
    listed = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
    return {"name": group, "versions": listed, "preferredVersion": listed[0]}


def _resource_list(group: str, version: str, kinds: Iterable[Kind]) -> Object:
    resources: list[Object] = []
    for kind in kinds:
        resources.append(_resource(kind))
        resources += [_sub_resource(kind, name) for name in sorted(kind.subresources)]
    group_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}


def _resource(kind: Kind) -> Object:
    entry: Object = {
        "name": kind.plural,
        "singularName": kind.singular or kind.kind.lower(),
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    if kind.is_stored:
        entry["storageVersionHash"] = _storage_hash(kind)
    return entry


def _storage_hash(kind: Kind) -> str:
    stored = kind.stored_as or kind
    return base64.b64encode(hashlib.sha256(f"{stored.api_version}/{stored.kind}".encode()).digest()[:8]).decode()


def _sub_resource(kind: Kind, name: str) -> Object:
    part = subresource(kind, name)
    entry: Object = {"name": f"{kind.plural}/{name}", "singularName": "", "namespaced": kind.namespaced}
    if part.group:
        entry |= {"group": part.group, "version": part.version}
    return entry | {"kind": part.kind, "verbs": list(part.verbs)}


def _aggregated(groups: dict[str, dict[str, list[Kind]]]) -> tuple[bytes, str]:
    """The document and its ETag."""
    items = [
        {
            "metadata": {"name": group} if group else {},
            "versions": [
                {"version": version, "resources": [_discovered(kind) for kind in kinds], "freshness": "Current"}
                for version, kinds in versions.items()
            ],
        }
        for group, versions in groups.items()
    ]
    document = {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}
    body = orjson.dumps(document)
    return body, f'"{hashlib.sha256(body).hexdigest().upper()}"'


def _discovered(kind: Kind) -> Object:
    entry: Object = {
        "resource": kind.plural,
        "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular or kind.kind.lower(),
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    if kind.subresources:
        entry["subresources"] = [_discovered_part(kind, name) for name in sorted(kind.subresources)]
    return entry


def _discovered_part(kind: Kind, name: str) -> Object:
    part = subresource(kind, name)
    shown = {"group": part.group or kind.group, "version": part.version or kind.version, "kind": part.kind}
    return {"subresource": name, "responseKind": shown, "verbs": list(part.verbs)}
