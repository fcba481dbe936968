"""Which code serves a resource request: the table of verbs and subresources."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from dabbawala.apimachinery import status
from dabbawala.cluster.apiserver import (
    lists,
    rest_bodies,
    rest_connect,
    rest_create,
    rest_delete,
    rest_patch,
    rest_subresources,
    rest_update,
    watches,
)
from dabbawala.cluster.apiserver.core import Call
from dabbawala.cluster.apiserver.response import Response
from dabbawala.cluster.apiserver.watches import Ticker

Serve = Callable[[Call], Awaitable[Response]]


async def get(call: Call) -> Response:
    entry = call.core.store.get(call.key)
    if entry is None:
        raise call.not_found()
    revision = lists.parse_version(call.request.query.get("resourceVersion")) if call.request.query.pairs else 0
    lists.check_reached(call, revision)
    return rest_bodies.answer(call, entry.body)


_VERBS: dict[str, Serve] = {
    "get": get,
    "list": lists.list_objects,
    "create": rest_create.create,
    "update": rest_update.put,
    "patch": rest_patch.patch_object,
    "delete": rest_delete.delete,
    "deletecollection": rest_delete.delete_collection,
}
_STATUS_VERBS: dict[str, Serve] = {verb: _VERBS[verb] for verb in ("get", "update", "patch")}


async def serve(call: Call, ticker: Ticker) -> Response:
    """Serve an authorised resource request. Raises StatusError."""
    kind, target = call.kind, call.target
    plugged = call.plugins.subresources.get((kind.resource, target.subresource))
    if plugged is not None:
        await rest_connect.admit(call)
        return await plugged(call.request, target)
    if target.subresource:
        return await _subresource(call)
    if target.verb not in kind.verbs or not kind.is_stored:
        raise _not_allowed()
    if target.verb == "watch":
        return watches.watch(call, ticker)
    if target.verb == "create" and target.name:
        raise _not_allowed()
    return await _VERBS[target.verb](call)


async def _subresource(call: Call) -> Response:
    kind, target = call.kind, call.target
    if target.subresource not in kind.subresources or not target.name:
        raise status.NotFound("the server could not find the requested resource")
    if target.subresource == "status":
        found = _STATUS_VERBS.get(target.verb)
    else:
        found = rest_subresources.find(target.subresource, target.verb)
    if found is None:
        raise _not_allowed()
    return await found(call)


def _not_allowed() -> status.MethodNotAllowed:
    return status.MethodNotAllowed("the server does not allow this method on the requested resource")
