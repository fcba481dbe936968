"""The transport over the network: HTTPS with a client certificate or a token, or a unix socket of the same machine."""

from __future__ import annotations

import socket as sockets
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import aiohttp
from yarl import URL

from dabbawala.apimachinery.status import ServiceUnavailable
from dabbawala.client.kubeconfig import Connection
from dabbawala.client.transport import Response

CONNECT_SECONDS_MAX = 10.0
CONNECTIONS_MAX = 256
KEEPALIVE_IDLE_SECONDS, KEEPALIVE_PROBE_SECONDS, KEEPALIVE_PROBES = 30, 10, 3
"""The kernel asks a silent peer whether it is there, and ends the connection when it is not: within a minute."""


def tls(connection: Connection) -> ssl.SSLContext:
    """What we trust and who we are. OpenSSL reads a client certificate only from files, so it gets one for a moment."""
    context = ssl.create_default_context(cadata=connection.ca.decode() if connection.ca else None)
    if connection.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if connection.certificate and connection.key:
        with tempfile.NamedTemporaryFile(suffix=".pem") as pem:
            pem.write(connection.certificate + b"\n" + connection.key)
            pem.flush()
            context.load_cert_chain(pem.name)
    return context


class HTTPTransport:
    """One pool of connections. Make it inside a running event loop; `close` it there."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._session = aiohttp.ClientSession(
            connector=_connector(connection),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS_MAX),
            auto_decompress=True,
            read_bufsize=2**18,
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Response:
        url = URL(self._connection.server + path, encoded=True).extend_query(list(query))
        sent = {**(headers or {}), **self._credentials()}
        try:
            answer = await self._session.request(
                method,
                url,
                headers=sent,
                data=body or None,
                server_hostname=self._connection.server_name or None,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(self._connection, error) from error
        received = {name.lower(): value for name, value in answer.headers.items()}
        return Response(answer.status, received, _chunks(answer, self._connection), _closing(answer))

    def _credentials(self) -> dict[str, str]:
        token = self._connection.token
        if self._connection.token_file is not None:
            token = self._connection.token_file.read_text().strip()
        return {"authorization": f"Bearer {token}"} if token else {}

    async def close(self) -> None:
        await self._session.close()


def unreachable(connection: Connection, error: BaseException) -> ServiceUnavailable:
    where = str(connection.socket or connection.server)
    cause = str(error) or type(error).__name__
    return ServiceUnavailable(f"cannot reach the API server at {where}: {cause}")


def _connector(connection: Connection) -> aiohttp.BaseConnector:
    if connection.socket is not None:
        return aiohttp.UnixConnector(str(connection.socket), limit=CONNECTIONS_MAX)
    secure: ssl.SSLContext | bool = tls(connection) if connection.server.startswith("https") else True
    return aiohttp.TCPConnector(limit=CONNECTIONS_MAX, ssl=secure, socket_factory=kept_alive)


def kept_alive(address: aiohttp.AddrInfoType) -> sockets.socket:
    """A socket that notices a peer which went without a word."""
    family, kind, protocol, _, _ = address
    made = sockets.socket(family, kind, protocol)
    made.setsockopt(sockets.SOL_SOCKET, sockets.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_SECONDS),
        ("TCP_KEEPINTVL", KEEPALIVE_PROBE_SECONDS),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
    ):
        if hasattr(sockets, option):  # a system without it asks at its own times
            made.setsockopt(sockets.IPPROTO_TCP, getattr(sockets, option), value)
    return made


async def _chunks(answer: aiohttp.ClientResponse, connection: Connection) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.content.iter_any():
            yield chunk
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise unreachable(connection, error) from error
    finally:
        answer.release()


def _closing(answer: aiohttp.ClientResponse) -> Callable[[], Awaitable[None]]:
    async def close() -> None:
        answer.close()

    return close


def over_socket(socket: Path, token_file: Path) -> HTTPTransport:
    """To the API server of this machine, as the component whose token it is."""
    return HTTPTransport(Connection(server="http://localhost", socket=socket, token_file=token_file))
