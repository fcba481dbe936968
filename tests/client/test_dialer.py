"""Dialing addresses outside of the cluster: whose certificate is taken."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from dabbawala.apimachinery.clock import SystemClock
from dabbawala.client.dialer import Dialer, DialFailed
from dabbawala.client.transport import Response
from dabbawala.cluster.apiserver import pki


class NoCluster:
    async def request(self, *asked: object, **more: object) -> Response:
        raise AssertionError("the address is not of the cluster")


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi")
    await writer.drain()
    writer.close()


async def test_a_certificate_of_an_unknown_authority_is_taken_only_by_an_insecure_request(tmp_path: Path) -> None:
    pair = pki.ensure(tmp_path, SystemClock().now()).server
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    async with (
        await asyncio.start_server(_answer, "127.0.0.1", 0, ssl=context) as server,
        Dialer(NoCluster()) as dialer,
    ):
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(DialFailed, match="CERTIFICATE_VERIFY_FAILED"):
            await dialer.request("GET", url)
        assert (await dialer.request("GET", url, insecure=True)).body == b"hi"
        with pytest.raises(DialFailed):
            await dialer.request("GET", url)
