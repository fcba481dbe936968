"""What is spoken on a Service's port: decided from what its owner declared, and listened for where nothing was.

A port is HTTP when it says so (`appProtocol`, or a name such as `http` or `http-api`), or when a VirtualService has
HTTP routes for its Service. A port that declares something else is carried as plain TCP. A port that declares nothing
is listened to: a connection that opens with an HTTP request line is HTTP, everything else is TCP after at most
`SNIFF_SECONDS` (so a server-first protocol waits that long once a connection; ports of the well-known ones are TCP at
once). Source: core/v1 ServicePort.appProtocol, Istio's protocol selection.
"""

from __future__ import annotations

from enum import Enum

from dabbawala.cluster.dataplane.views import Port

SNIFF_SECONDS = 1.0
"""Long enough for a client that connects first and asks later; one that takes longer is served all the same, as TCP."""

HTTP1_NAMES = frozenset({"http", "kubernetes.io/ws"})
HTTP2_NAMES = frozenset({"h2c", "kubernetes.io/h2c", "http2", "grpc"})
SERVER_FIRST = frozenset({21, 22, 25, 53, 110, 143, 587, 1433, 3306, 5432, 6379, 27017})


class Protocol(Enum):
    """What a listener takes a connection for; `ASK` listens to its first bytes."""

    HTTP1 = "http"
    HTTP2 = "http2"
    TCP = "tcp"
    ASK = "ask"
    UDP = "udp"

    @property
    def is_http(self) -> bool:
        return self in (Protocol.HTTP1, Protocol.HTTP2)


def protocol(port: Port, *, routed: bool) -> Protocol | None:
    """None for what cannot be carried (SCTP). `routed`: a VirtualService has HTTP routes for the port."""
    if port.protocol != "TCP":
        return Protocol.UDP if port.protocol == "UDP" else None
    declared = _declared(port.app_protocol.lower() or port.name.lower())
    if port.app_protocol and declared is None:
        return Protocol.TCP
    if declared is not None:
        return declared
    if routed:
        return Protocol.HTTP1
    return Protocol.TCP if port.number in SERVER_FIRST else Protocol.ASK


def _declared(text: str) -> Protocol | None:
    first = text.split("-", 1)[0]
    if text in HTTP2_NAMES or first in HTTP2_NAMES:
        return Protocol.HTTP2
    if text in HTTP1_NAMES or first in HTTP1_NAMES:
        return Protocol.HTTP1
    opaque = {"tcp", "tls", "https", "mongo", "mysql", "redis", "postgres", "postgresql", "amqp", "kafka"}
    return Protocol.TCP if first in opaque else None
