"""Websockets on an upgraded connection: the handshake's answer, whole messages in and out.

Source: RFC 6455. Frames are wsproto's; the handshake has been parsed by the HTTP server.
"""

from __future__ import annotations

import base64
import hashlib

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from dabbawala.apimachinery import status
from dabbawala.cluster.apiserver.request import Request
from dabbawala.cluster.apiserver.response import Response, Takeover, Tunnel

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_MESSAGE = 4 << 20


def is_asked(request: Request) -> bool:
    upgrade = request.header("upgrade").lower()
    return upgrade == "websocket" and "upgrade" in request.header("connection").lower()


def choose(request: Request, supported: tuple[str, ...]) -> str:
    """The first of the client's subprotocols that is supported; empty when it offers none. Raises BadRequest."""
    offered = [one.strip() for one in request.header("sec-websocket-protocol").split(",") if one.strip()]
    if not offered and "" in supported:
        return ""
    chosen = next((one for one in offered if one in supported), None)
    if chosen is None:
        listed = ", ".join(one for one in supported if one)
        raise status.BadRequest(f"none of the subprotocols {offered} is spoken here; choose one of {listed}")
    return chosen


def accept(request: Request, subprotocol: str, takeover: Takeover) -> Response:
    """The answer that makes the connection a websocket. Raises BadRequest."""
    key = request.header("sec-websocket-key")
    if not key or request.header("sec-websocket-version") != "13":
        raise status.BadRequest("not a websocket handshake: Sec-WebSocket-Key and Sec-WebSocket-Version: 13 are needed")
    digest = base64.b64encode(hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()).decode()
    headers = {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-accept": digest}
    if subprotocol:
        headers["sec-websocket-protocol"] = subprotocol
    return Response(101, headers=headers, upgrade=takeover)


class WebSocket:
    """An accepted websocket. `read` and `write` are whole messages, so that it can stand in for a tunnel."""

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel
        self._wire = Connection(ConnectionType.SERVER)
        self._messages: list[bytes] = []
        self._partial = bytearray()
        self._closed = False

    async def read(self) -> bytes:
        """The next message that is not empty; b"" when the peer has closed."""
        while not self._messages:
            if self._closed:
                return b""
            data = await self._tunnel.read()
            try:
                self._wire.receive_data(data or None)
                await self._take_events()
            except RemoteProtocolError as broken:
                raise ConnectionError(f"the websocket peer broke the protocol: {broken}") from broken
            if not data:
                self._closed = True
        return self._messages.pop(0)

    async def write(self, data: bytes) -> None:
        """One binary message. ConnectionError when the peer has gone."""
        try:
            await self._tunnel.write(self._wire.send(BytesMessage(data=data)))
        except LocalProtocolError as closed:
            raise ConnectionResetError("the websocket is closed") from closed

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye, once."""
        if not self._closed:
            self._closed = True
            try:
                await self._tunnel.write(self._wire.send(CloseConnection(code=code, reason=reason[:120] or None)))
            except (LocalProtocolError, ConnectionError):
                return

    async def _take_events(self) -> None:
        for event in self._wire.events():
            if isinstance(event, BytesMessage | TextMessage):
                data = event.data
                self._partial += data.encode() if isinstance(data, str) else data
                if len(self._partial) > MAX_MESSAGE:
                    raise ConnectionError(f"a websocket message larger than {MAX_MESSAGE} bytes")
                if event.message_finished:
                    if self._partial:
                        self._messages.append(bytes(self._partial))
                    self._partial.clear()
            elif isinstance(event, Ping):
                await self._tunnel.write(self._wire.send(event.response()))
            elif isinstance(event, CloseConnection) and not self._closed:
                self._closed = True
                await self._tunnel.write(self._wire.send(event.response()))
