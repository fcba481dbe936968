"""Admission of connections: exec, attach, port-forward and proxy are writes of their own kind, CONNECT.

What is looked at is the options that the query spells. Source: apiserver/pkg/endpoints/handlers/rest.go
ConnectResource, core/v1 PodExecOptions and its like.
"""

from __future__ import annotations

from collections.abc import Callable

from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import rest_accept
from dabbawala.cluster.apiserver.core import Call
from dabbawala.cluster.apiserver.request import Query

_STREAMS = ("stdin", "stdout", "stderr", "tty")


async def admit(call: Call) -> None:
    """Let the validators see a connection before it is made; nothing for a subresource that connects nobody."""
    target = call.target
    options = _OPTIONS.get((call.kind.resource, target.subresource))
    if options is None or not call.plugins.validators:
        return
    name, read = options
    body: Object = {"apiVersion": "v1", "kind": name, **read(call)}
    await rest_accept.judge(call, rest_accept.admission_of(call, "CONNECT", body, None))


def _execution(call: Call) -> Object:
    query = call.request.query
    options: Object = {stream: True for stream in _STREAMS if query.flag(stream)}
    if query.get("container"):
        options["container"] = query.get("container")
    if query.all("command"):
        options["command"] = query.all("command")
    return options


def _ports(call: Call) -> Object:
    listed = _numbers(call.request.query)
    return {"ports": listed} if listed else {}


def _numbers(query: Query) -> list[int]:
    """Those that are numbers; the rest is refused by whoever forwards."""
    texts = (part for value in query.all("ports") for part in value.split(","))
    return [int(text) for text in texts if text.isdecimal()]


def _path(call: Call) -> Object:
    return {"path": call.target.tail} if call.target.tail else {}


_OPTIONS: dict[tuple[str, str], tuple[str, Callable[[Call], Object]]] = {
    ("pods", "exec"): ("PodExecOptions", _execution),
    ("pods", "attach"): ("PodAttachOptions", _execution),
    ("pods", "portforward"): ("PodPortForwardOptions", _ports),
    ("pods", "proxy"): ("PodProxyOptions", _path),
    ("services", "proxy"): ("ServiceProxyOptions", _path),
    ("nodes", "proxy"): ("NodeProxyOptions", _path),
}
