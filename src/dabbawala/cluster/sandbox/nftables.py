"""Packet rules by raw nfnetlink, for hosts without the nft program.

Only what the pod network needs: a table with base chains and rules made of a few expressions. A batch is applied as
one transaction; the kernel's error becomes `OSError`.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from dabbawala.cluster.sandbox.rtnetlink import attribute

_NETLINK_NETFILTER = 12
_SUBSYSTEM = 10
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NEWTABLE, _DELTABLE, _NEWCHAIN, _NEWRULE = 0, 2, 3, 6
_REQUEST, _ACK, _CREATE, _APPEND = 0x1, 0x4, 0x400, 0x800
_ERROR = 2
_NESTED = 0x8000
_REGISTER_1, _REGISTER_2 = 1, 2
_HOOK_PREROUTING = 0
_NETWORK_HEADER = 1
_EQUAL, _DIFFERENT = 0, 1
_NAT_DESTINATION = 1
_OFFSET_PROTOCOL, _OFFSET_DESTINATION = 9, 16


def _string(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("!I", value))


def _nest(kind: int, *parts: bytes) -> bytes:
    return attribute(kind | _NESTED, b"".join(parts))


def _expression(name: str, *parts: bytes) -> bytes:
    return _nest(1, _string(1, name), _nest(2, *parts))


def _load(offset: int, size: int) -> bytes:
    parts = (_number(1, _REGISTER_1), _number(2, _NETWORK_HEADER), _number(3, offset), _number(4, size))
    return _expression("payload", *parts)


def _compare(operator: int, value: bytes) -> bytes:
    return _expression("cmp", _number(1, _REGISTER_1), _number(2, operator), _nest(3, attribute(1, value)))


def _mask(value: bytes) -> bytes:
    zero = b"\0" * len(value)
    parts = (_number(1, _REGISTER_1), _number(2, _REGISTER_1), _number(3, len(value)))
    return _expression("bitwise", *parts, _nest(4, attribute(1, value)), _nest(5, attribute(1, zero)))


def _immediate(register: int, value: bytes) -> bytes:
    return _expression("immediate", _number(1, register), _nest(2, attribute(1, value)))


def destination_outside(network: str, prefix: int) -> bytes:
    """Matches packets whose destination is not in the network."""
    mask = struct.pack("!I", (0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF)
    return _load(_OFFSET_DESTINATION, 4) + _mask(mask) + _compare(_DIFFERENT, socket.inet_aton(network))


def protocol_is(number: int) -> bytes:
    return _load(_OFFSET_PROTOCOL, 1) + _compare(_EQUAL, bytes((number,)))


def redirect_to(address: str, port: int) -> bytes:
    """Destination NAT. (`redirect` would use the incoming link's own address, and the pods' links have none.)"""
    registers = (_number(3, _REGISTER_1), _number(5, _REGISTER_2))
    nat = _expression("nat", _number(1, _NAT_DESTINATION), _number(2, socket.AF_INET), *registers)
    return _immediate(_REGISTER_1, socket.inet_aton(address)) + _immediate(_REGISTER_2, struct.pack("!H", port)) + nat


@dataclass(frozen=True, slots=True)
class Rule:
    """Matches and, at the end, what to do: the pieces above, in order."""

    expressions: tuple[bytes, ...]


def replace_table(name: str, rules: Sequence[Rule]) -> None:
    """In the calling thread's network: make the table hold one prerouting nat chain with these rules, atomically."""
    table = _string(1, name)
    hook = _nest(4, _number(1, _HOOK_PREROUTING), attribute(2, struct.pack("!i", -100)))
    chain = _string(1, name) + _string(3, "prerouting") + hook + _string(7, "nat")
    bodies = [
        (_NEWTABLE, _CREATE, table),
        (_DELTABLE, 0, table),
        (_NEWTABLE, _CREATE, table),
        (_NEWCHAIN, _CREATE, chain),
    ]
    for rule in rules:
        body = _string(1, name) + _string(2, "prerouting") + _nest(4, *rule.expressions)
        bodies.append((_NEWRULE, _CREATE | _APPEND, body))
    _transact(bodies)


def _frame(kind: int, flags: int, sequence: int, family: int, resource: int, body: bytes = b"") -> bytes:
    payload = struct.pack("!BBH", family, 0, resource) + body
    return struct.pack("=IHHII", 16 + len(payload), kind, flags | _REQUEST, sequence, 0) + payload


def _transact(bodies: Sequence[tuple[int, int, bytes]]) -> None:
    frames = [_frame(_BATCH_BEGIN, 0, 0, socket.AF_UNSPEC, _SUBSYSTEM)]
    for sequence, (kind, flags, body) in enumerate(bodies, start=1):
        frames.append(_frame((_SUBSYSTEM << 8) | kind, flags | _ACK, sequence, socket.AF_INET, 0, body))
    frames.append(_frame(_BATCH_END, 0, len(bodies) + 1, socket.AF_UNSPEC, _SUBSYSTEM))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as netlink:
        netlink.bind((0, 0))
        netlink.settimeout(5.0)
        netlink.send(b"".join(frames))
        answered = 0
        while answered < len(bodies):
            answered += _check(netlink.recv(65536))


def _check(data: bytes) -> int:
    answers = 0
    while len(data) >= 16:
        size, kind = struct.unpack_from("=IH", data)
        if kind == _ERROR:
            code = -struct.unpack_from("=i", data, 16)[0]
            if code:
                raise OSError(code, f"packet rules: {os.strerror(code)}")
            answers += 1
        data = data[(size + 3) & ~3 :]
    return answers
