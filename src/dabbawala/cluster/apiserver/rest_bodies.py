"""From a request's body to an object, and from a stored body to an answer."""

from __future__ import annotations

from typing import Any

import orjson

from dabbawala.apimachinery import status
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import objects, response, rest_yaml
from dabbawala.cluster.apiserver.core import Call
from dabbawala.cluster.apiserver.response import Response

_JSON = ("", "application/json", "*/*", "text/plain")
_YAML = ("application/yaml", "application/x-yaml", "text/yaml")


def read(call: Call) -> Object:
    """The object in the request's body. Raises BadRequest or UnsupportedMediaType."""
    media = call.request.content_type
    decoder = call.plugins.decoders.get(media)
    if decoder is not None:
        return decoder(call.request.body, call.kind)
    if media in _YAML:
        return _an_object(rest_yaml.parse(call.request.body))
    if media not in _JSON:
        raise _unsupported(media, [_JSON[1], _YAML[0], *call.plugins.decoders])
    return _an_object(parse_json(call.request.body))


def read_options(call: Call) -> Object:
    """DeleteOptions and the like; {} for an empty body."""
    if not call.request.body.strip():
        return {}
    decoder = call.plugins.decoders.get(call.request.content_type)
    if decoder is not None:
        return decoder(call.request.body, None)
    return read(call)


def parse_json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise status.BadRequest(f"the body of the request is not valid JSON: {error}") from error


def _an_object(value: Any) -> Object:
    if not isinstance(value, dict):
        raise status.BadRequest("the body of the request must be one object")
    if value.get("metadata") is None:
        value["metadata"] = {}
    if not isinstance(value["metadata"], dict):
        raise status.BadRequest("metadata: must be an object")
    return value


def _unsupported(media: str, accepted: list[str]) -> status.UnsupportedMediaType:
    listed = ", ".join(accepted)
    return status.UnsupportedMediaType(
        f"the body of the request was in an unknown format ({media}); accepted: {listed}"
    )


def answer(call: Call, body: bytes, code: int = 200) -> Response:
    """A stored body as the client asked to see it."""
    body = objects.shown(call.kind, body)
    negotiator = call.plugins.negotiator
    form = negotiator(call.request, call.kind) if negotiator else None
    if form is None:
        return response.json_bytes(body, code)
    return Response(code, form.one(body), {"content-type": form.content_type})
