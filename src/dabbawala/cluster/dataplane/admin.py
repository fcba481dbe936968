"""Asking an Envoy, over the unix sockets that only its owner may open. One request a connection; answers are small."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

ANSWER_SECONDS_MAX = 2.0
HEAD_BYTES_MAX = 64 * 1024
LENGTH = re.compile(r"\r\ncontent-length: *(\d+)")


class Unanswered(Exception):
    """An Envoy that is there gave no answer of status 200 in time: too busy, stopped, or just ending."""


class EnvoyGone(Exception):
    """Nobody listens on the socket: the process is not running, or not yet."""


async def get(socket: Path, path: str) -> str:
    """The body of a GET. Raises EnvoyGone or Unanswered."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            return await _get(socket, path)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise EnvoyGone(f"{socket.name}: {error}") from error
    except TimeoutError as error:
        raise Unanswered(f"{socket.name}: no answer within {ANSWER_SECONDS_MAX:g} s") from error
    except (OSError, EOFError, ValueError) as error:
        raise Unanswered(f"{socket.name}: {error or type(error).__name__}") from error


async def _get(socket: Path, path: str) -> str:
    reader, writer = await asyncio.open_unix_connection(str(socket), limit=HEAD_BYTES_MAX)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: envoy\r\nConnection: close\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status = head.split(" ", 2)[1]
        body = await _body(reader, head)
        if status != "200":
            raise ValueError(f"{path} was answered {status}: {body.decode(errors='replace').strip()[:200]}")
        return body.decode(errors="replace")
    finally:
        writer.close()


async def _body(reader: asyncio.StreamReader, head: str) -> bytes:
    """Its length is always told; waiting for the end of the connection instead would take Envoy's closing second."""
    length = LENGTH.search(head)
    return await reader.readexactly(int(length[1])) if length else await _chunks(reader)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    return b"".join(parts)
