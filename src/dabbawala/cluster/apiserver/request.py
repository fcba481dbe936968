"""One request as the API server sees it, however it came: HTTP over TLS or a unix socket, or a call in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from dabbawala.policy.access import AUTHENTICATED, MASTERS, UNAUTHENTICATED, User

MAX_BODY_BYTES = 3 << 20
"""Of a request, however it arrives; the same as upstream's."""

ANONYMOUS = User("system:anonymous", (UNAUTHENTICATED,))
LOOPBACK = User("system:apiserver", (MASTERS, AUTHENTICATED))


class Query:
    """Query parameters in order, repeated names kept."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        self.pairs = pairs

    @classmethod
    def parse(cls, text: str) -> Query:
        return cls(parse_qsl(text, keep_blank_values=True)) if text else _EMPTY

    def __contains__(self, name: object) -> bool:
        return any(pair[0] == name for pair in self.pairs)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.pairs)

    def get(self, name: str, default: str = "") -> str:
        """The first value of that name."""
        for key, value in self.pairs:
            if key == name:
                return value
        return default

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key == name]

    def flag(self, name: str) -> bool:
        """A boolean as Go's strconv reads it; a bare `?watch` counts as true."""
        if not self.pairs or name not in self:
            return False
        return self.get(name).lower() not in ("0", "f", "false")


_EMPTY = Query()


@dataclass(slots=True)
class Request:
    """`path` is as sent, still percent-encoded, without the query. Header names are lower-case; repeated headers
    are joined by a comma. `user` is set by authentication, or by a trusted in-process caller beforehand.
    `warnings` become `Warning: 299` headers. `annotations` end in the audit record. `long_running`
    requests (watches, logs, streams, proxies) are not timed. An `expired` one has taken too long and is given up."""

    method: str
    path: str
    query: Query = _EMPTY
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    peer_certificate: Mapping[str, Any] | None = None
    client: str = ""
    user: User | None = None
    warnings: list[str] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)
    long_running: bool = False
    expired: bool = False

    def header(self, name: str, default: str = "") -> str:
        return self.headers.get(name, default)

    @property
    def content_type(self) -> str:
        """The media type without parameters, lower-case; empty when none was sent."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()
