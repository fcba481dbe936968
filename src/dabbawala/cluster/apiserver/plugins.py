"""The seams of the API server: what authentication, authorisation, admission, audit, discovery, tables, protobuf and
streams plug into. `app.Plugins` holds one explicit list of each; nothing registers itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from dabbawala.api.kind import Kind
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver.request import Request
from dabbawala.cluster.apiserver.response import Response
from dabbawala.cluster.apiserver.routes import Target
from dabbawala.policy.access import Decision, User


class Authenticator(Protocol):
    """Says who sent a request: a User, None for "not my kind of credential", or raises Unauthorized for a bad one."""

    async def authenticate(self, request: Request) -> User | None: ...


Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]


@dataclass(slots=True)
class Admission:
    """A write on its way in. `object` (None on DELETE) is a private copy: mutating plugins change it in place.
    `old` is the stored object (None on CREATE) and must not be changed. `options` are the Create/Update/DeleteOptions.
    `audit` holds annotations of its audit record. A `generated` name is ours: the request names nothing.
    `releases` are called once the write is stored or refused: what was reserved for it (an address) is let go of then.
    """

    operation: Operation
    kind: Kind
    namespace: str
    name: str
    user: User
    object: Object | None = None
    old: Object | None = None
    subresource: str = ""
    generated: bool = False
    dry_run: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    audit: dict[str, str] = field(default_factory=dict)
    releases: list[Callable[[], None]] = field(default_factory=list)


class Mutator(Protocol):
    """Changes `admission.object` in place, or raises a StatusError. Runs after defaulting, before validation."""

    async def mutate(self, admission: Admission) -> None: ...


class Validator(Protocol):
    """Raises a StatusError (Forbidden, Invalid) to refuse. Runs last, on the object as it would be stored."""

    async def validate(self, admission: Admission) -> None: ...


@dataclass(frozen=True, slots=True)
class Exchange:
    """One finished request, for the audit log. `target` is None for non-resource requests."""

    request: Request
    target: Target | None
    status: int
    received: float  # clock.monotonic() seconds
    finished: float
    decision: Decision | None


Audit = Callable[[Exchange], None]

Endpoint = Callable[[Request], Awaitable[Response]]
"""Serves a non-resource path such as /version; registered by exact path, or by prefix ending in `/`."""

SubresourceHandler = Callable[[Request, Target], Awaitable[Response]]
"""Serves one (resource, subresource), e.g. ("pods", "log"); authentication and authorisation have passed."""

BodyDecoder = Callable[[bytes, Kind | None], Object]
"""Decodes a request body of one content type (protobuf) to an object; raises BadRequest. The kind is the target's,
None for option bodies, whose type the envelope tells."""


class Representation(Protocol):
    """Another form of objects than plain JSON: Table, PartialObjectMetadata. Built per request by a Negotiator.

    Bodies are stored JSON bytes. `list_meta` is the ListMeta of the answer. `event` gives the JSON of the event's
    `object`; the first event of a Table watch carries the column definitions.
    """

    content_type: str

    def one(self, body: bytes) -> bytes: ...

    def many(self, bodies: Sequence[bytes], list_meta: Object) -> bytes: ...

    def event(self, body: bytes) -> bytes: ...


Negotiator = Callable[[Request, Kind], "Representation | None"]
"""Reads the Accept header: a Representation, or None when plain JSON will do. Raises NotAcceptable."""
