"""pods/log: a container's log from its node, as a stream, or as websocket messages for those who ask so."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncGenerator, Mapping

from dabbawala.apimachinery import status
from dabbawala.cluster.apiserver import websocket
from dabbawala.cluster.apiserver.kubelet_link import KubeletLink
from dabbawala.cluster.apiserver.objects import Objects
from dabbawala.cluster.apiserver.plugins import SubresourceHandler
from dabbawala.cluster.apiserver.pod_targets import bound_pod, container_state, wanted_container
from dabbawala.cluster.apiserver.request import Request
from dabbawala.cluster.apiserver.response import Response, Tunnel
from dabbawala.cluster.apiserver.routes import Target
from dabbawala.cluster.apiserver.websocket import WebSocket

PROTOCOLS = ("binary.k8s.io", "base64.binary.k8s.io", "")
_PARAMETERS = ("follow", "previous", "sinceSeconds", "sinceTime", "tailLines", "limitBytes", "timestamps", "stream")
_NEVER_STARTED = ("ContainerCreating", "PodInitializing", "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull",
                  "CreateContainerConfigError", "CreateContainerError")  # fmt: skip


class Logs:
    def __init__(self, objects: Objects, link: KubeletLink) -> None:
        self._objects = objects
        self._link = link

    def handlers(self) -> Mapping[tuple[str, str], SubresourceHandler]:
        return {("pods", "log"): self._log}

    async def _log(self, request: Request, target: Target) -> Response:
        pod = bound_pod(self._objects, target)
        container = wanted_container(pod, request.query.get("container"))
        _check_started(container_state(pod, container), target.name, container)
        node = pod["spec"]["nodeName"]
        if not self._link.socket(node) or pod["spec"].get("runtimeClassName") == "simulated":
            return Response(200, b"", {"content-type": "text/plain"})
        query = [(name, request.query.get(name)) for name in _PARAMETERS if name in request.query]
        reply = await self._link.get(node, f"/containerLogs/{target.namespace}/{target.name}/{container}", query)
        if not websocket.is_asked(request):
            return Response(200, _quiet(reply.body), {"content-type": "text/plain"})
        protocol = websocket.choose(request, PROTOCOLS)

        async def takeover(connection: Tunnel) -> None:
            socket = WebSocket(connection)
            async with contextlib.aclosing(reply.body) as chunks:
                async for chunk in chunks:
                    await socket.write(base64.b64encode(chunk) if protocol.startswith("base64") else chunk)
            await socket.close()

        return websocket.accept(request, protocol, takeover)


async def _quiet(body: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The log; an agent that goes away ends it like the end of the program would: its client may ask again."""
    async with contextlib.aclosing(body) as chunks:
        try:
            async for chunk in chunks:
                yield chunk
        except ConnectionError:
            return


def _check_started(state: Mapping[str, object], pod: str, container: str) -> None:
    """A container that has not run has no log; the answer says what it waits for."""
    current = state.get("state")
    waiting = current.get("waiting") if isinstance(current, dict) else None
    if isinstance(waiting, dict) and waiting.get("reason") in _NEVER_STARTED and not state.get("containerID"):
        why = f": {waiting.get('message')}" if waiting.get("message") else ""
        raise status.BadRequest(
            f'container "{container}" in pod "{pod}" is waiting to start: {waiting.get("reason")}{why}'
        )
