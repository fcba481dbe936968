"""One question and its answers on a unix connection: JSON lines, with file descriptors beside them.

A connection carries one request. Short requests get one answer; long ones (exec, wait) get further lines until the
end. The same few functions serve the holder, the shim and the client.
"""

from __future__ import annotations

import array
import json
import socket
from collections.abc import Sequence
from typing import Any

Message = dict[str, Any]

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
MAX_DESCRIPTORS = 8
_CHUNK = 65536


class SandboxError(Exception):
    """A request that the sandbox refused. `reason` is a constant for programs, the text is for a person."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def encode(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def send(sock: socket.socket, message: Message, descriptors: Sequence[int] = ()) -> None:
    """Write the whole line on a blocking socket; descriptors travel with its first byte."""
    data = encode(message)
    sent = socket.send_fds(sock, [data], list(descriptors)) if descriptors else sock.send(data)
    while sent < len(data):
        sent += sock.send(data[sent:])


class Inbox:
    """Collects what arrives on one connection until whole lines are there."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.descriptors: list[int] = []

    def receive(self, sock: socket.socket) -> bool:
        """Read once; False at the end of the stream. BlockingIOError passes through."""
        space = socket.CMSG_SPACE(MAX_DESCRIPTORS * 4)
        data, ancillary, _, _ = sock.recvmsg(_CHUNK, space, socket.MSG_CMSG_CLOEXEC)
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(payload[: len(payload) - len(payload) % numbers.itemsize])
                self.descriptors.extend(numbers)
        self._buffer += data
        if len(self._buffer) > MAX_MESSAGE_BYTES:
            raise SandboxError("RequestTooLarge", f"a request is limited to {MAX_MESSAGE_BYTES} bytes")
        return bool(data)

    def take(self) -> Message | None:
        """The next whole message, if one is there."""
        end = self._buffer.find(b"\n")
        if end < 0:
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        message = json.loads(line)
        if not isinstance(message, dict):
            raise SandboxError("BadRequest", "a message is a JSON object")
        return message

    def take_descriptors(self) -> list[int]:
        taken, self.descriptors = self.descriptors, []
        return taken


def failure(error: BaseException) -> Message:
    if isinstance(error, SandboxError):
        return {"error": error.reason, "message": error.message}
    return {"error": type(error).__name__, "message": str(error)}
