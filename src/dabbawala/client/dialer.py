"""The one dialer: it reaches the addresses that manifests name, from wherever we run.

`http://prometheus.monitoring.svc.cluster.local:9090` resolves only inside a cluster. Inside, it is dialled directly;
elsewhere the request goes through the API server's `services/proxy`, which needs no network into the cluster. Any
other address is dialled directly.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, urlsplit

from dabbawala.apimachinery.status import ServiceUnavailable
from dabbawala.client.transport import Transport

if TYPE_CHECKING:
    from aiohttp import ClientSession

SUFFIXES = (".svc.cluster.local.", ".svc.cluster.local", ".svc")
ANSWER_BYTES_MAX = 32 * 1024 * 1024


class DialFailed(Exception):
    """No answer: the address cannot be reached, or it took too long."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    namespace: str
    name: str


def service_of(host: str) -> ServiceAddress | None:
    """The Service that an in-cluster host name means; None for any other host. `name.namespace` alone counts only
    with `.svc`, because `example.com` looks the same."""
    for suffix in SUFFIXES:
        if host.endswith(suffix):
            name, _, namespace = host.removesuffix(suffix).rpartition(".")
            return ServiceAddress(namespace, name) if name and "." not in name else None
    return None


class Dialer:
    """`inside` says that we run in the cluster, where its names resolve and its addresses answer."""

    def __init__(self, transport: Transport, *, inside: bool = False) -> None:
        self._transport = transport
        self._inside = inside
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Dialer:
        return self

    async def __aexit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_seconds: float = 30.0,
        insecure: bool = False,
    ) -> Answer:
        """One request, one answer of whatever status. `insecure` takes any certificate of an https address, as the API
        server does for the Services that it stands before. Raises DialFailed."""
        target = urlsplit(url)
        service = service_of(target.hostname or "")
        try:
            async with asyncio.timeout(timeout_seconds):
                if service is not None and not self._inside:
                    return await self._proxied(method, target, service, headers or {}, body)
                return await self._direct(method, url, headers or {}, body, insecure)
        except TimeoutError:
            raise DialFailed(f"{method} {url}: no answer within {timeout_seconds:g} s") from None
        except (OSError, ValueError, ServiceUnavailable) as error:
            raise DialFailed(f"{method} {url}: {error or type(error).__name__}") from error

    async def _direct(self, method: str, url: str, headers: Mapping[str, str], body: bytes, insecure: bool) -> Answer:
        import aiohttp  # a tenth of a second to import, and most processes only ever dial through the API server

        if self._session is None:
            self._session = aiohttp.ClientSession()
        try:
            async with self._session.request(
                method, url, headers=headers, data=body or None, ssl=not insecure
            ) as answer:
                received = {name.lower(): value for name, value in answer.headers.items()}
                return Answer(answer.status, received, await _bounded(answer.content.iter_any()))
        except aiohttp.ClientError as error:
            raise OSError(str(error) or type(error).__name__) from error

    async def _proxied(
        self, method: str, url: SplitResult, service: ServiceAddress, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        scheme = "https:" if url.scheme == "https" else ""
        port = url.port or (443 if scheme else 80)
        path = f"/api/v1/namespaces/{service.namespace}/services/{scheme}{service.name}:{port}/proxy{url.path}"
        response = await self._transport.request(
            method, path, query=parse_qsl(url.query, keep_blank_values=True), headers=dict(headers), body=body
        )
        try:
            return Answer(response.status, response.headers, await _bounded(response.body))
        finally:
            await response.close()


async def _bounded(chunks: AsyncIterator[bytes]) -> bytes:
    body = b""
    async for chunk in chunks:
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise ValueError(f"the answer has more than {ANSWER_BYTES_MAX} bytes")
    return body
