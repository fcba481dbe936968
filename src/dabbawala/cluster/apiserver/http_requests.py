"""From bytes on a connection to whole requests: an httptools parser with limits.

The parser calls `on_*`; a whole request goes to `complete`, what can never become one to `refuse`. After a request to
upgrade nothing more is parsed: the bytes that follow are kept for whoever takes the connection over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httptools

from dabbawala.apimachinery import status
from dabbawala.cluster.apiserver.request import MAX_BODY_BYTES, Query, Request

MAX_HEADERS = 64 << 10  # bytes of request line and headers

Complete = Callable[[Request, bool], None]
"""Takes a request, and whether the client will keep the connection."""


class RequestReader:
    """`write` sends an interim answer (100 Continue)."""

    def __init__(
        self,
        complete: Complete,
        refuse: Callable[[status.StatusError], None],
        write: Callable[[bytes], None],
        *,
        peer_certificate: Mapping[str, Any] | None,
        client: str,
    ) -> None:
        self._complete = complete
        self._refuse = refuse
        self._write = write
        self._peer_certificate = peer_certificate
        self._client = client
        self._parser: Any = httptools.HttpRequestParser(self)
        self._refused = False
        self.arriving = False  # a request has begun, and is not whole yet
        self.upgrading = False  # the client has asked to; the parser reads no further
        self.rest = b""  # what came after a request to upgrade
        self._begin()

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._header_bytes = 0
        self._unfinished = 0  # bytes received since the read in which the message began
        self._headers_done = False

    def feed(self, data: bytes) -> None:
        if self.upgrading:
            self.rest += data
            return
        if self._refused:
            return
        self._unfinished += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.upgrading = True
            self.rest = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            self._fail(status.BadRequest(f"malformed HTTP request: {error}"))
            return
        if self._header_bytes > MAX_HEADERS or (not self._headers_done and self._unfinished > MAX_HEADERS):
            self._fail(status.BadRequest(f"request headers larger than {MAX_HEADERS} bytes"))

    def _fail(self, error: status.StatusError) -> None:
        if not self._refused:
            self._refused = True
            self._refuse(error)

    def on_message_begin(self) -> None:
        self._begin()
        self.arriving = True

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._header_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        present = self._headers.get(key)
        self._headers[key] = text if present is None else f"{present},{text}"

    def on_headers_complete(self) -> None:
        self._headers_done = True
        length = self._headers.get("content-length", "")
        if length.isdigit() and int(length) > MAX_BODY_BYTES:
            self._fail(_too_large())
        elif self._headers.get("expect", "").lower() == "100-continue":
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > MAX_BODY_BYTES:
            self._fail(_too_large())
        elif not self._refused:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        self.arriving = False
        self._header_bytes = self._unfinished = 0
        path, _, query = self._url.decode("latin-1").partition("?")
        request = Request(
            self._parser.get_method().decode("latin-1"),
            path,
            Query.parse(query),
            self._headers,
            b"".join(self._body),
            self._peer_certificate,
            self._client,
        )
        self._complete(request, self._parser.should_keep_alive())


def _too_large() -> status.RequestEntityTooLarge:
    return status.RequestEntityTooLarge(f"Request entity too large: limit is {MAX_BODY_BYTES} bytes")
