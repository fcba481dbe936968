"""One question to a container, by any of the four means. Every failure of the container's is an Answer; what kept the
node from asking at all is NotAsked, and nothing else is raised but cancellation.

Source: pkg/probe/{http,tcp,exec,grpc}.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.kubelet.probes import grpc, patience
from dabbawala.cluster.kubelet.probes.verdict import Answer

MAX_BODY = 10 * 1024
MAX_HEAD = 64 * 1024
MAX_REDIRECTS = 10
USER_AGENT = "kube-probe/1.37"

Run = Callable[[list[str]], Awaitable[tuple[int, bytes]]]
"""Runs a command in the container: exit code and output. Raises NotAsked."""


Connect = Callable[[str, int], Awaitable[socket.socket]]
"""Connects to a host and port from where the container can be reached. Raises OSError, NotAsked."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How a container is reached: its pod's address, connections to it, commands in it."""

    address: str
    connect: Connect
    run: Run


class BadPort(Exception):
    """A probe or hook that names a port which the container does not have."""


async def ask(item: Object, probe: Mapping[str, Any], reach: Reach, timeout: float) -> Answer:
    """Ask once, within `timeout` seconds. Raises NotAsked."""
    try:
        return await patience.within(timeout, _ask(item, probe, reach))
    except TimeoutError:
        return Answer(False, _timed_out(probe, timeout))
    except BadPort as bad:
        return Answer(False, str(bad))


async def _ask(item: Object, probe: Mapping[str, Any], reach: Reach) -> Answer:
    if probe.get("httpGet"):
        return await http_get(item, probe["httpGet"], reach)
    if probe.get("tcpSocket") is not None:
        host = probe["tcpSocket"].get("host") or reach.address
        return await _tcp(host, port_number(item, probe["tcpSocket"]["port"]), reach)
    if probe.get("grpc"):
        return await _grpc(probe["grpc"], reach)
    if probe.get("exec"):
        code, output = await reach.run(list(probe["exec"].get("command") or ()))
        return Answer(code == 0, output[:MAX_BODY].decode(errors="replace").strip() or f"exit code {code}")
    return Answer(False, "the probe has no handler")


def _timed_out(probe: Mapping[str, Any], timeout: float) -> str:
    if probe.get("exec"):
        return f"command timed out after {timeout:g}s"
    return f"context deadline exceeded: no answer within {timeout:g}s"


def port_number(item: Object, port: int | str) -> int:
    """A port by number or by the name of one of the container's ports. Raises BadPort."""
    if isinstance(port, int) or port.isdecimal():
        return int(port)
    for known in item.get("ports") or ():
        if known.get("name") == port:
            return int(known["containerPort"])
    raise BadPort(f"couldn't find port \"{port}\" in the container's ports")


async def _tcp(host: str, port: int, reach: Reach) -> Answer:
    try:
        (await reach.connect(host, port)).close()
    except OSError as refused:
        return Answer(False, f"dial tcp {host}:{port}: {_reason(refused)}")
    return Answer(True)


async def _grpc(action: Object, reach: Reach) -> Answer:
    address, port = reach.address, int(action["port"])
    try:
        reader, writer = await asyncio.open_connection(sock=await reach.connect(address, port))
    except OSError as refused:
        return Answer(False, f"failed to connect service {address}:{port}: {_reason(refused)}")
    try:
        return await grpc.check(reader, writer, f"{address}:{port}", str(action.get("service") or ""))
    except (OSError, EOFError) as broken:
        return Answer(False, f"service {address}:{port} ended the connection: {broken}")
    finally:
        writer.close()


# --- HTTP ------------------------------------------------------------------------------------------------------


async def http_get(item: Object, action: Object, reach: Reach) -> Answer:
    """GET with kubelet's rules: 200 to 399 is well; redirects on the same host are followed, others are well."""
    host = action.get("host") or reach.address
    scheme = str(action.get("scheme") or "HTTP").lower()
    port = port_number(item, action["port"])
    url = f"{scheme}://{host}:{port}{_path(action.get('path') or '/')}"
    headers = {header["name"]: str(header.get("value") or "") for header in action.get("httpHeaders") or ()}
    for _ in range(MAX_REDIRECTS):
        try:
            status, location = await _get(url, headers, reach)
        except (OSError, EOFError, ValueError, ssl.SSLError) as broken:
            return Answer(False, f'Get "{url}": {_reason(broken)}')
        target = urljoin(url, location) if location and 300 <= status < 400 else ""
        if not target or urlsplit(target).hostname != urlsplit(url).hostname:
            ok = 200 <= status < 400
            return Answer(ok, "" if ok else f"HTTP probe failed with statuscode: {status}")
        url = target
    return Answer(False, f"stopped after {MAX_REDIRECTS} redirects")


def _path(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"


async def _get(url: str, headers: Mapping[str, str], reach: Reach) -> tuple[int, str]:
    """Status and Location."""
    parts = urlsplit(url)
    context = _no_verification() if parts.scheme == "https" else None
    port = parts.port or (443 if context else 80)
    host = parts.hostname or reach.address
    reader, writer = await asyncio.open_connection(
        sock=await reach.connect(host, port), ssl=context, server_hostname=host if context else None, limit=MAX_HEAD
    )
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        sent = {"host": f"{host}:{port}", "user-agent": USER_AGENT, "accept": "*/*"}
        sent |= {name.lower(): value for name, value in headers.items()} | {"connection": "close"}
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        writer.write(f"GET {target or '/'} HTTP/1.1\r\n{head}\r\n".encode())
        await writer.drain()
        return _parse(await reader.readuntil(b"\r\n\r\n"))
    except asyncio.LimitOverrunError as endless:
        raise ValueError(f"the answer's head is longer than {MAX_HEAD} bytes") from endless
    finally:
        writer.close()


def _parse(head: bytes) -> tuple[int, str]:
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdecimal():
        raise ValueError(f"malformed HTTP response {first[:80]!r}")
    location = next((line.partition(":")[2].strip() for line in lines if line.lower().startswith("location:")), "")
    return int(words[1]), location


@functools.cache
def _no_verification() -> ssl.SSLContext:
    """Probes do not verify certificates, so no authorities are loaded either. Source: core/v1 HTTPGetAction."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: BaseException) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connect: connection refused"
    if isinstance(error, EOFError):
        return "EOF"
    return str(error) or type(error).__name__
