"""Cluster DNS (the Kubernetes DNS specification 1.1.0) over a table of Services: pure, no sockets.

`Zone` answers names below cluster.local and their reverse; for every other name it says that it is not its own, and the
caller asks the host's resolver. Messages are RFC 1035 with EDNS (RFC 6891) sizes.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

A, CNAME, SOA, PTR, AAAA, SRV, OPT, ANY = 1, 5, 6, 12, 28, 33, 41, 255
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3
DOMAIN = "cluster.local"
HOST_NAME = "host.dabbawala.internal"
HOST_ADDRESS = "169.254.10.42"
_TTL_SECONDS = 5
_PLAIN_UDP_BYTES = 512
_MAX_UDP_BYTES = 4096
_MAX_RECORDS = 1000


@dataclass(frozen=True, slots=True)
class Question:
    """The first question of a query, and how large an answer its sender takes over UDP."""

    identifier: int
    flags: int
    name: str
    kind: int
    raw: bytes
    udp_bytes: int
    edns: bool


@dataclass(frozen=True, slots=True)
class Record:
    name: str
    kind: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    code: int
    records: tuple[Record, ...] = ()


def parse(message: bytes) -> Question:
    """ValueError when it is not a query with one question."""
    if len(message) < 12:
        raise ValueError("shorter than a DNS header")
    identifier, flags, questions, _, _, additional = struct.unpack_from("!6H", message)
    if flags & 0x8000 or questions != 1:
        raise ValueError("not a query with one question")
    labels, at = [], 12
    while at < len(message) and (size := message[at]):
        if size > 63 or at + 1 + size > len(message):
            raise ValueError("a malformed name")
        labels.append(message[at + 1 : at + 1 + size].decode("ascii", "replace").lower())
        at += 1 + size
    if at + 5 > len(message):
        raise ValueError("the question is cut off")
    (kind,) = struct.unpack_from("!H", message, at + 1)
    rest = message[at + 5 :]
    edns = bool(additional) and len(rest) >= 11 and rest[0] == 0 and rest[1:3] == b"\0\x29"
    size = struct.unpack_from("!H", rest, 3)[0] if edns else _PLAIN_UDP_BYTES
    limit = min(max(size, _PLAIN_UDP_BYTES), _MAX_UDP_BYTES)
    return Question(identifier, flags, ".".join(labels), kind, message[12 : at + 5], limit, edns)


def encode_name(name: str) -> bytes:
    return b"".join(bytes((len(label),)) + label.encode() for label in name.split(".") if label) + b"\0"


def respond(question: Question, answer: Answer, *, stream: bool) -> bytes:
    """The answer as a message; over UDP, one too large is cut and marked, and the client comes back over TCP."""
    records = answer.records[:_MAX_RECORDS]
    message = _message(question, answer.code, records, truncated=False)
    if stream or len(message) <= question.udp_bytes:
        return message
    return _message(question, answer.code, (), truncated=True)


def _message(question: Question, code: int, records: Sequence[Record], *, truncated: bool) -> bytes:
    flags = 0x8000 | (question.flags & 0x7900) | 0x0480 | code | (0x0200 if truncated else 0)
    body = b"".join(
        encode_name(record.name) + struct.pack("!HHIH", record.kind, 1, _TTL_SECONDS, len(record.data)) + record.data
        for record in records
    )
    soa = b"" if records or truncated else _start_of_authority()
    opt = b"\0" + struct.pack("!HHIH", OPT, _MAX_UDP_BYTES, 0, 0) if question.edns else b""
    counts = (1, len(records), bool(soa), bool(opt))
    return struct.pack("!6H", question.identifier, flags, *counts) + question.raw + body + soa + opt


def _start_of_authority() -> bytes:
    """What lets a resolver remember for some seconds that there is nothing."""
    data = encode_name(f"ns.dns.{DOMAIN}") + encode_name(f"hostmaster.{DOMAIN}")
    data += struct.pack("!5I", 1, 7200, 1800, 86400, _TTL_SECONDS)
    return encode_name(DOMAIN) + struct.pack("!HHIH", SOA, 1, _TTL_SECONDS, len(data)) + data


def failure(question: Question, code: int) -> bytes:
    return _message(question, code, (), truncated=False)


Service = Mapping[str, Any]


class Zone:
    """The cluster's names, as one table says. Immutable: a new table is a new zone."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._services: Mapping[str, Service] = table.get("services", {})
        self._namespaces = {key.split("/", 1)[0] for key in self._services}
        self._reverse: dict[str, str] = {}
        for key, service in self._services.items():
            namespace, name = key.split("/", 1)
            full = f"{name}.{namespace}.svc.{DOMAIN}"
            for endpoint in service.get("endpoints", ()):
                if endpoint.get("hostname"):
                    self._reverse[endpoint["ip"]] = f"{endpoint['hostname']}.{full}"
            if service.get("cluster_ip"):
                self._reverse[service["cluster_ip"]] = full

    def answer(self, name: str, kind: int) -> Answer | None:
        """None for a name that is not the cluster's."""
        name = name.rstrip(".").lower()
        if name == HOST_NAME:
            return self._addresses(name, kind, [HOST_ADDRESS])
        if name.endswith(".in-addr.arpa"):
            return self._pointer(name, kind)
        if name == DOMAIN:
            return Answer(NOERROR)
        if not name.endswith("." + DOMAIN):
            return None
        labels = name[: -len(DOMAIN) - 1].split(".")
        if labels[-1] == "svc":
            return self._service(name, labels[:-1], kind)
        if labels[-1] == "pod" and len(labels) == 3:
            address = _dashed(labels[0])
            return self._addresses(name, kind, [address]) if address else Answer(NXDOMAIN)
        return Answer(NOERROR if labels == ["pod"] else NXDOMAIN)

    def _addresses(self, name: str, kind: int, addresses: Sequence[str]) -> Answer:
        """IPv4 only; that there is no AAAA is said at once, without an error, or clients would wait or give up."""
        if kind not in (A, ANY):
            return Answer(NOERROR)
        return Answer(NOERROR, tuple(Record(name, A, ipaddress.IPv4Address(address).packed) for address in addresses))

    def _pointer(self, name: str, kind: int) -> Answer | None:
        octets = name[: -len(".in-addr.arpa")].split(".")
        if octets[-1:] != ["10"]:
            return None
        target = self._reverse.get(".".join(reversed(octets)))
        if target is None:
            return Answer(NXDOMAIN)
        return Answer(NOERROR, (Record(name, PTR, encode_name(target)),) if kind in (PTR, ANY) else ())

    def _service(self, name: str, labels: list[str], kind: int) -> Answer:
        if len(labels) < 2:
            known = not labels or labels[0] in self._namespaces
            return Answer(NOERROR if known else NXDOMAIN)
        service = self._services.get(f"{labels[-1]}/{labels[-2]}")
        if service is None:
            return Answer(NXDOMAIN)
        before = labels[:-2]
        if not before:
            return self._whole(name, service, kind)
        if len(before) == 2 and before[0].startswith("_") and before[1].startswith("_"):
            full = f"{labels[-2]}.{labels[-1]}.svc.{DOMAIN}"
            return self._port(name, full, service, before[0][1:], before[1][1:], kind)
        if len(before) == 1:
            wanted = [end["ip"] for end in service.get("endpoints", ()) if before[0] in _host_labels(end)]
            return self._addresses(name, kind, wanted) if wanted else Answer(NXDOMAIN)
        return Answer(NXDOMAIN)

    def _whole(self, name: str, service: Service, kind: int) -> Answer:
        if service.get("external_name"):
            return Answer(NOERROR, (Record(name, CNAME, encode_name(service["external_name"])),))
        if not service.get("headless"):
            return self._addresses(name, kind, [service["cluster_ip"]])
        addresses = list(dict.fromkeys(endpoint["ip"] for endpoint in service.get("endpoints", ())))
        # A headless Service without endpoints is NXDOMAIN, as CoreDNS has it: clients must not take it for "no IPv4".
        return self._addresses(name, kind, addresses) if addresses else Answer(NXDOMAIN)

    def _port(self, name: str, full: str, service: Service, port: str, protocol: str, kind: int) -> Answer:
        numbers = [
            each["port"]
            for each in service.get("ports", ())
            if each.get("name") == port and each.get("protocol", "TCP").lower() == protocol
        ]
        if not numbers:
            return Answer(NXDOMAIN)
        targets = [full]
        if service.get("headless"):
            targets = [f"{_host_labels(end)[0]}.{full}" for end in service.get("endpoints", ())]
        if kind not in (SRV, ANY):
            return Answer(NOERROR)
        head = struct.pack("!HHH", 0, 100, numbers[0])
        return Answer(NOERROR, tuple(Record(name, SRV, head + encode_name(target)) for target in targets))


def _host_labels(endpoint: Mapping[str, Any]) -> list[str]:
    """The names of one endpoint below its Service: its hostname if it has one, else its address with dashes."""
    dashed = str(endpoint["ip"]).replace(".", "-")
    return [endpoint["hostname"], dashed] if endpoint.get("hostname") else [dashed]


def _dashed(label: str) -> str:
    try:
        return str(ipaddress.IPv4Address(label.replace("-", ".")))
    except ValueError:
        return ""
