"""The API server: one coroutine from request to response, whoever carried the request.

authenticate -> resolve -> authorize -> limit -> serve -> audit
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

import orjson

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import status
from dabbawala.apimachinery.clock import Clock, SystemClock
from dabbawala.apimachinery.status import StatusError
from dabbawala.client.client import Client
from dabbawala.cluster.apiserver import authorization, expiry, limits, memory, response, rest, routes, warning_header
from dabbawala.cluster.apiserver.core import Call, Core, Plugins
from dabbawala.cluster.apiserver.limits import Slots
from dabbawala.cluster.apiserver.plugins import Endpoint, Exchange
from dabbawala.cluster.apiserver.quota_status import QuotaStatus
from dabbawala.cluster.apiserver.request import ANONYMOUS, LOOPBACK, MAX_BODY_BYTES, Request
from dabbawala.cluster.apiserver.resources import KindSet
from dabbawala.cluster.apiserver.response import Response
from dabbawala.cluster.apiserver.routes import Target
from dabbawala.cluster.apiserver.watches import Ticker
from dabbawala.cluster.store import errors
from dabbawala.cluster.store.store import Store
from dabbawala.policy.access import Decision, User

log = logging.getLogger("dabbawala.apiserver")

_READ_VERBS = frozenset({"get", "list"})
# How a request ends that is given up before it is answered; the first as nginx has it.
_NOBODY_WAITS = 499
_TOO_LATE = 504
_LONG_RUNNING = frozenset({"log", "exec", "attach", "portforward", "proxy"})


class APIServer:
    """Serves a store. Enter it (`async with`), or call `start` and `close`; it closes only a store that it made."""

    def __init__(self, core: Core, plugins: Plugins | None = None) -> None:
        self.core = core
        self.plugins = plugins or Plugins()
        self._ticker = Ticker(core.clock)
        self._background: list[asyncio.Task[None]] = []
        self._reads = Slots(limits.READS)
        self._writes = Slots(limits.WRITES)
        self._owns_store = False
        self._first_namespaces: tuple[str, ...] = ()
        prefixes = [path for path in self.plugins.endpoints if path.endswith("/") and path != "/"]
        self._prefixes = sorted(prefixes, key=len, reverse=True)

    @classmethod
    def in_memory(
        cls,
        kinds: Iterable[Kind],
        *,
        clock: Clock | None = None,
        randomness: random.Random | None = None,
        store: Store | None = None,
        plugins: Callable[[Core], Plugins] | None = None,
        namespaces: Iterable[str] = ("default", "kube-system", "kube-public", "kube-node-lease"),
    ) -> APIServer:
        """A server over a store without a file (or the given one), with these namespaces. Without plugins everybody may
        do everything. For tests and simulations; enter it before use."""
        clock = clock or SystemClock()
        core = Core(store or Store.in_memory(clock=clock), KindSet(kinds), clock, randomness)
        server = cls(core, plugins(core) if plugins else None)
        server._owns_store = True
        server._first_namespaces = tuple(namespaces)
        return server

    def start(self) -> None:
        """Begin what goes on in the background: letting old events go, the status of quotas. `close` ends it."""
        if not self._background:
            loop = asyncio.get_running_loop()
            self._background = [
                loop.create_task(expiry.run(self.core), name="event expiry"),
                loop.create_task(QuotaStatus(self.core).run(), name="quota status"),
            ]

    async def __aenter__(self) -> Self:
        self.start()
        kind = self.core.kinds.of("v1", "Namespace")
        if kind is not None:
            client = self.client()
            for name in self._first_namespaces:
                await client.create(kind, {"metadata": {"name": name}})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        for task in self._background:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._ticker.close()
        if self._owns_store:
            await self.core.store.close()

    def transport(self, user: User | None = LOOPBACK, *, token: str = "") -> memory.InMemoryTransport:
        """The way in without a network, as `user`, or by a bearer token that goes through authentication."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return memory.InMemoryTransport(self.handle, None if token else user, headers)

    def client(self, user: User | None = LOOPBACK, *, token: str = "") -> Client:
        return Client(self.transport(user, token=token))

    # The request path --------------------------------------------------------------------------------------------

    async def handle(self, request: Request) -> Response:
        """Serve one request. Every failure is an answer with a Status; only cancellation passes through, and it too is
        audited, because what the request wrote may be stored all the same."""
        received = self.core.clock.monotonic()
        target: Target | None = None
        decision: Decision | None = None
        try:
            await self._authenticate(request)
            target = routes.resolve(request, self.core.kinds)
            decision = self._authorize(request, target)
            answer = await (self._resource(request, target) if target else self._endpoint(request))
        except StatusError as error:
            answer = response.failure(error)
        except errors.StoreError as error:
            answer = response.failure(_of_store(error))
        except (RecursionError, orjson.JSONEncodeError):
            answer = response.failure(status.BadRequest("the body of the request is nested too deeply"))
        except asyncio.CancelledError:
            self._audit(request, target, _TOO_LATE if request.expired else _NOBODY_WAITS, received, decision)
            raise
        except Exception as error:
            log.exception("%s %s failed", request.method, request.path)
            answer = response.failure(status.InternalError(f"an error on the server: {error!r}"))
        if request.warnings:
            answer.headers["warning"] = warning_header.of(request.warnings)
        self._audit(request, target, answer.status, received, decision)
        return answer

    def _audit(
        self, request: Request, target: Target | None, code: int, received: float, decision: Decision | None
    ) -> None:
        if self.plugins.audit is not None:
            finished = self.core.clock.monotonic()
            self.plugins.audit(Exchange(request, target, code, received, finished, decision))

    async def _authenticate(self, request: Request) -> None:
        if request.user is None:
            for authenticator in self.plugins.authenticators:
                request.user = await authenticator.authenticate(request)
                if request.user is not None:
                    break
            else:
                request.user = ANONYMOUS
        if self.plugins.impersonation is not None:
            request.user = await self.plugins.impersonation(request, request.user)

    def _authorize(self, request: Request, target: Target | None) -> Decision:
        return authorization.demand(self.plugins.authorizer, authorization.attributes(request, target))

    async def _resource(self, request: Request, target: Target) -> Response:
        call = Call(self.core, self.plugins, request, target)
        if target.verb == "watch" or target.subresource in _LONG_RUNNING:
            request.long_running = True
            return await rest.serve(call, self._ticker)
        if len(request.body) > MAX_BODY_BYTES:
            raise status.RequestEntityTooLarge(f"Request entity too large: limit is {MAX_BODY_BYTES}")
        async with self._reads if target.verb in _READ_VERBS else self._writes:
            return await rest.serve(call, self._ticker)

    async def _endpoint(self, request: Request) -> Response:
        found = self._find_endpoint(request.path)
        if found is None:
            raise status.NotFound("the server could not find the requested resource")
        return await found(request)

    def _find_endpoint(self, path: str) -> Endpoint | None:
        exact = self.plugins.endpoints.get(path) or self.plugins.endpoints.get(path.rstrip("/") or "/")
        if exact is not None:
            return exact
        return next((self.plugins.endpoints[prefix] for prefix in self._prefixes if path.startswith(prefix)), None)


def _of_store(error: errors.StoreError) -> StatusError:
    if isinstance(error, errors.Compacted):
        return status.Expired(str(error))
    if isinstance(error, errors.Closed):
        return status.ServiceUnavailable("the API server is shutting down")
    return status.InternalError(str(error))
