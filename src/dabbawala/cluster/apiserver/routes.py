"""From a path to what it names.

    /api/v1/…  and  /apis/{group}/{version}/…
        {plural}                                     all of a cluster-scoped kind, or a namespaced one everywhere
        {plural}/{name}[/{subresource}[/{tail}]]     one cluster-scoped object
        namespaces/{namespace}/{plural}[/{name}[/{subresource}[/{tail}]]]

Everything else is a non-resource path. Source: apiserver/pkg/endpoints/request/requestinfo.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import status
from dabbawala.cluster.apiserver.request import Query, Request
from dabbawala.cluster.apiserver.resources import KindSet

_NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})
_NAME_VERBS = {"GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "POST": "create", "DELETE": "delete"}
_COLLECTION_VERBS = {"GET": "list", "HEAD": "list", "POST": "create", "DELETE": "deletecollection"}


@dataclass(frozen=True, slots=True)
class Target:
    """What a resource request is about. `verb` is the RBAC verb. `tail` is the still encoded path after a
    subresource (`proxy`), with its leading slash, or empty."""

    kind: Kind
    verb: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    tail: str = ""


def resolve(request: Request, kinds: KindSet) -> Target | None:
    """The target of a resource path; None for a non-resource path. Raises NotFound for an unknown resource."""
    parts = request.path.split("/")  # parts[0] is empty: the path starts with a slash
    if len(parts) > 3 and parts[1] == "api":
        group, version, rest = "", parts[2], parts[3:]
    elif len(parts) > 4 and parts[1] == "apis":
        group, version, rest = parts[2], parts[3], parts[4:]
    else:
        return None
    if rest[-1] == "" and len(rest) <= 5:  # kr8s ends every path with a slash
        rest = rest[:-1]
    if not rest:
        return None
    return _target(request, kinds, group, version, rest)


def _target(request: Request, kinds: KindSet, group: str, version: str, rest: list[str]) -> Target:
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = unquote(rest[1])
        if len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES:
            rest = rest[2:]
    kind = kinds.find(group, version, rest[0])
    if kind is None:
        raise status.NotFound("the server could not find the requested resource")
    name = unquote(rest[1]) if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if kind.namespaced:
        if name and not namespace:
            raise status.NotFound("the server could not find the requested resource")
    elif namespace and kind.plural != "namespaces":
        raise status.NotFound("the server could not find the requested resource")
    tail = "/" + "/".join(rest[3:]) if len(rest) > 3 else ""
    return Target(kind, _verb(request, name), namespace, name, subresource, tail)


def _verb(request: Request, name: str) -> str:
    verb = (_NAME_VERBS if name else _COLLECTION_VERBS).get(request.method)
    if verb is None:
        raise status.MethodNotAllowed(
            f"the server does not allow this method on the requested resource: {request.method}"
        )
    if verb == "list" and request.query.flag("watch"):
        return "watch"
    return verb


def single_name(query: Query) -> str:
    """The name a list is narrowed to by `fieldSelector=metadata.name=x`, for authorisation; else empty."""
    for term in query.get("fieldSelector").split(","):
        path, _, value = term.partition("=")
        if path == "metadata.name":
            return value.removeprefix("=")
    return ""
