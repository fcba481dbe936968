"""Exec, attach and port-forward of pods: who asks, by whichever protocol, is joined to the pod's node.

The tunnel to the node is opened before the client's connection is upgraded, so that what cannot be done is an ordinary
answer with a Status.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import orjson

from dabbawala.apimachinery import status
from dabbawala.apimachinery.meta import Object
from dabbawala.client import tunnel
from dabbawala.client.tunnel import Channel
from dabbawala.cluster.apiserver import exec_peers, port_forwards, websocket
from dabbawala.cluster.apiserver.exec_peers import Peer, SpdyPeer, WebSocketPeer
from dabbawala.cluster.apiserver.kubelet_link import KubeletLink, Link
from dabbawala.cluster.apiserver.objects import Objects
from dabbawala.cluster.apiserver.plugins import SubresourceHandler
from dabbawala.cluster.apiserver.pod_targets import running_pod, wanted_container
from dabbawala.cluster.apiserver.request import ANONYMOUS, Query, Request
from dabbawala.cluster.apiserver.response import Response, Takeover, Tunnel
from dabbawala.cluster.apiserver.routes import Target
from dabbawala.cluster.apiserver.spdy_session import SpdySession
from dabbawala.cluster.apiserver.websocket import WebSocket
from dabbawala.policy.access import Attributes, Authorizer

SPDY = "spdy/3.1"


class Streams:
    """Serves pods/exec, pods/attach and pods/portforward."""

    def __init__(self, objects: Objects, link: KubeletLink, authorizer: Authorizer | None = None) -> None:
        self._objects = objects
        self._link = link
        self._authorizer = authorizer

    def handlers(self) -> Mapping[tuple[str, str], SubresourceHandler]:
        return {
            ("pods", "exec"): self._exec,
            ("pods", "attach"): self._attach,
            ("pods", "portforward"): self._port_forward,
        }

    async def _exec(self, request: Request, target: Target) -> Response:
        if not request.query.all("command"):
            raise status.BadRequest("you must specify at least one command for the container")
        return await self._session(request, target, "exec")

    async def _attach(self, request: Request, target: Target) -> Response:
        return await self._session(request, target, "attach")

    def _check_create(self, request: Request, target: Target) -> None:
        """A websocket is opened by GET, but to open one is to create: who may only read may not run commands.
        Source: AuthorizePodWebsocketUpgradeCreatePermission."""
        if self._authorizer is None or target.verb == "create":
            return
        kind, user = target.kind, request.user or ANONYMOUS
        wanted = Attributes(
            user, "create", kind.group, kind.version, kind.plural, target.subresource, target.namespace, target.name
        )
        decision = self._authorizer.authorize(wanted)
        if not decision.allowed:
            raise status.Forbidden(
                f'pods "{target.name}" is forbidden: User "{user.name}" cannot create resource '
                f'"pods/{target.subresource}" in API group "" in the namespace "{target.namespace}"'
            )

    async def _session(self, request: Request, target: Target, what: str) -> Response:
        self._check_create(request, target)
        pod = running_pod(self._objects, target)
        container = wanted_container(pod, request.query.get("container"))
        protocol = _protocol(request, exec_peers.WEBSOCKET_PROTOCOLS, exec_peers.SPDY_PROTOCOLS)
        path = f"/{what}/{target.namespace}/{target.name}/{container}"
        link = await self._link.upgrade(pod["spec"]["nodeName"], path, list(request.query))

        async def takeover(connection: Tunnel) -> None:
            try:
                if websocket.is_asked(request):
                    await _join(WebSocketPeer(WebSocket(connection), protocol), link)
                else:
                    await _join_spdy(connection, protocol, request.query, link)
            finally:
                await link.close()

        return _accept(request, protocol, takeover)

    async def _port_forward(self, request: Request, target: Target) -> Response:
        self._check_create(request, target)
        pod = running_pod(self._objects, target)
        node = pod["spec"]["nodeName"]
        protocol = _protocol(request, port_forwards.WEBSOCKET_PROTOCOLS, port_forwards.SPDY_PROTOCOLS)
        path = f"/portForward/{target.namespace}/{target.name}"

        async def connect(port: int) -> Link:
            return await self._link.upgrade(node, path, [("port", str(port))])

        ports = port_forwards.asked_ports(request.query)
        if websocket.is_asked(request) and not protocol.startswith("SPDY") and not ports:
            raise status.BadRequest("query parameter ports is required")

        async def takeover(connection: Tunnel) -> None:
            if not websocket.is_asked(request):
                await port_forwards.serve_spdy(connection, connect)
            elif protocol.startswith("SPDY"):
                await port_forwards.serve_spdy(WebSocket(connection), connect)
            else:
                await port_forwards.serve_channels(WebSocket(connection), ports, connect)

        return _accept(request, protocol, takeover)


def _protocol(request: Request, websockets: tuple[str, ...], spdys: tuple[str, ...]) -> str:
    """What will be spoken on the upgraded connection. Raises BadRequest when the client asks for no upgrade."""
    if websocket.is_asked(request):
        return websocket.choose(request, websockets)
    if request.header("upgrade").lower() != SPDY:
        raise status.BadRequest("Upgrade request required")
    offered = [one.strip() for one in request.header("x-stream-protocol-version").split(",") if one.strip()]
    chosen = next((one for one in offered if one in spdys), None)
    if chosen is None and offered:
        raise status.Forbidden(f"unable to upgrade: unable to negotiate protocol: client supports {offered}")
    return chosen or spdys[-1]


def _accept(request: Request, protocol: str, takeover: Takeover) -> Response:
    if websocket.is_asked(request):
        return websocket.accept(request, protocol, takeover)
    headers = {"upgrade": "SPDY/3.1", "connection": "Upgrade", "x-stream-protocol-version": protocol}
    return Response(101, headers=headers, upgrade=takeover)


# --- exec and attach -------------------------------------------------------------------------------------------


async def _join_spdy(connection: Tunnel, protocol: str, query: Query, link: Link) -> None:
    tty = query.flag("tty")
    wanted = ["error", *(name for name in ("stdin", "stdout", "stderr") if query.flag(name))]
    if tty:
        wanted = [name for name in wanted if name != "stderr"]
        wanted += ["resize"] if protocol.startswith(("v3", "v4")) else []
    session = SpdySession(connection)
    peer = SpdyPeer(session, protocol, wanted)
    reading = asyncio.create_task(session.run(), name="spdy session")
    try:
        if await peer.gather():
            await _join(peer, link)
    finally:
        peer.close()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _join(peer: Peer, link: Link) -> None:
    """Pump both ways until the command has ended or the client has left."""
    inward = asyncio.create_task(_inward(peer, link), name="to the container")
    outward = asyncio.create_task(_outward(peer, link), name="from the container")
    try:
        await asyncio.wait((inward, outward), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (inward, outward):
            task.cancel()
        await asyncio.gather(inward, outward, return_exceptions=True)


async def _inward(peer: Peer, link: Link) -> None:
    """Returns when the client has left."""
    while (arrived := await peer.receive()) is not None:
        channel, data = arrived
        await link.write(tunnel.frame(channel, data))


async def _outward(peer: Peer, link: Link) -> None:
    """Returns when the result has been told."""
    while (arrived := await tunnel.read_frame(link.reader)) is not None:
        channel, data = arrived
        if channel == Channel.ERROR:
            await peer.finish(orjson.loads(data))
            return
        await peer.send(Channel(channel), data)
    lost: Object = status.InternalError("the connection to the node's agent was lost").to_status()
    await peer.finish(lost)
