"""What every part of the API server is handed: the state, the plugins, and the call being served."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import status
from dabbawala.apimachinery.clock import Clock
from dabbawala.cluster.apiserver import objects
from dabbawala.cluster.apiserver.addresses import ServiceAddresses
from dabbawala.cluster.apiserver.objects import Objects
from dabbawala.cluster.apiserver.plugins import (
    Audit,
    Authenticator,
    BodyDecoder,
    Endpoint,
    Mutator,
    Negotiator,
    SubresourceHandler,
    Validator,
)
from dabbawala.cluster.apiserver.quotas import Quotas
from dabbawala.cluster.apiserver.request import ANONYMOUS, Request
from dabbawala.cluster.apiserver.resources import KindSet
from dabbawala.cluster.apiserver.routes import Target
from dabbawala.cluster.store.entry import Key
from dabbawala.cluster.store.store import Store
from dabbawala.policy.access import Authorizer, User
from dabbawala.reconcile.templates import ALPHABET

_SUFFIX = 5
_LONGEST_BASE = 63 - _SUFFIX
_VERSION_4 = 4 << 76 | 2 << 62
_RANDOM_BITS = (1 << 128) - 1 & ~(15 << 76 | 3 << 62)


class Core:
    """State shared by the request path and the plugins. With `service_accounts_required` a pod is refused until the
    `default` account of its namespace exists, as a whole cluster does; a server on its own has nobody to make it."""

    def __init__(
        self,
        store: Store,
        kinds: KindSet,
        clock: Clock,
        randomness: random.Random | None = None,
        *,
        service_accounts_required: bool = False,
    ) -> None:
        self.store = store
        self.kinds = kinds
        self.clock = clock
        # Seeded by the system once: names and uids must differ, not be secret, and asking each time is a sixth of a
        # create.
        self.random = randomness or random.Random()
        self.objects = Objects(store)
        self.addresses = ServiceAddresses(store)
        self.quotas = Quotas(store)
        self.service_accounts_required = service_accounts_required

    def new_uid(self) -> str:
        """A random UUID (RFC 9562, version 4), written out here because `uuid.UUID` costs five times as much."""
        bits = self.random.getrandbits(128) & _RANDOM_BITS | _VERSION_4
        text = f"{bits:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def generate_name(self, base: str) -> str:
        """`base` and five letters that spell no words. Source: apiserver/pkg/storage/names."""
        return base[:_LONGEST_BASE] + "".join(self.random.choices(ALPHABET, k=_SUFFIX))


@dataclass(frozen=True, slots=True)
class Plugins:
    """Everything that plugs into the request path; see DESIGN.md."""

    authenticators: Sequence[Authenticator] = ()
    impersonation: Callable[[Request, User], Awaitable[User]] | None = None
    authorizer: Authorizer | None = None
    mutators: Sequence[Mutator] = ()
    validators: Sequence[Validator] = ()
    audit: Audit | None = None
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    subresources: Mapping[tuple[str, str], SubresourceHandler] = field(default_factory=dict)
    decoders: Mapping[str, BodyDecoder] = field(default_factory=dict)
    negotiator: Negotiator | None = None


@dataclass(slots=True)
class Call:
    """One authorised request for a resource."""

    core: Core
    plugins: Plugins
    request: Request
    target: Target

    @property
    def kind(self) -> Kind:
        return self.target.kind

    @property
    def user(self) -> User:
        return self.request.user or ANONYMOUS

    @property
    def namespace(self) -> str:
        """Empty for cluster-scoped kinds, and for all namespaces."""
        return self.target.namespace if self.target.kind.namespaced else ""

    @property
    def key(self) -> Key:
        return objects.key_of(self.target.kind, self.target.namespace, self.target.name)

    @property
    def dry_run(self) -> bool:
        if not self.request.query.pairs:
            return False
        given = self.request.query.all("dryRun")
        if any(value != "All" for value in given):
            raise status.BadRequest(f'dryRun: Unsupported value: {given}: supported values: "All"')
        return bool(given)

    @property
    def field_manager(self) -> str:
        """As given, else the program's name from its User-Agent."""
        given = self.request.query.get("fieldManager")
        return given or self.request.header("user-agent").partition("/")[0][:128] or "unknown"

    def not_found(self) -> status.NotFound:
        return status.not_found(self.kind.plural, self.target.name, self.kind.group)
