"""The reconciler loop: wait for one's own writes, observe, plan, apply, look again.

Written once, for the built-in controllers and for ours. A controller says which kinds it watches and whose turn it
is when one of them changes; the loop sees to it that a key is never reconciled twice at once, never on a cache older
than the key's own last write, and slower after each failure. A failure is logged, counted and kept in `failures`
until the key succeeds, so that a status page can say what is stuck and why.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.status import Conflict, NotFound, StatusError, TooManyRequests
from dabbawala.reconcile.apply import Executor, LostAnswer
from dabbawala.reconcile.cache import Caches, Change, Lists
from dabbawala.reconcile.own_writes import OwnWrites
from dabbawala.reconcile.plan import Plan
from dabbawala.reconcile.queue import WorkQueue

log = logging.getLogger("dabbawala.reconcile")

LOUD_AFTER = 3
"""Conflicts and vanished objects are the ordinary weather of a shared world; they are logged from the third in a
row on."""

HEAVY = 0.002
"""Seconds of planning above which a key rests afterwards, so that a set of ten thousand pods, each of which reports
something, is planned now and then and not ten thousand times."""

RESTS, LONGEST_REST = 9.0, 0.5
"""How long it rests, in times of its planning, and in seconds at most."""

NAMESPACE_TERMINATING = "NamespaceTerminating"
"""The cause that a refusal in such a namespace carries. Source: core/v1 NamespaceTerminatingCause."""

Keys = Callable[[Object, Caches], Iterable[ObjectKey]]


@dataclass(frozen=True, slots=True)
class Watch:
    """A kind that matters to a controller, and which of its keys to look at when an object of it changes."""

    kind: Kind
    keys: Keys


class Controller(Protocol):
    """`reconcile` reads caches and returns a plan; `kind` is the kind its keys name, `watches` the others."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> Kind: ...

    @property
    def watches(self) -> tuple[Watch, ...]: ...

    async def reconcile(self, key: ObjectKey, caches: Caches, now: datetime) -> Plan: ...


@runtime_checkable
class Reporter(Protocol):
    """A controller that tells the world when the API refuses what it planned: a condition, an event."""

    def report(self, key: ObjectKey, caches: Caches, refused: StatusError, now: datetime) -> Plan: ...


def itself(obj: Object, caches: Caches) -> Iterable[ObjectKey]:
    """The object's own key."""
    yield meta.key(obj)


def controller_owner(kind: Kind) -> Keys:
    """The key of the object of `kind` that controls this one."""

    def keys(obj: Object, caches: Caches) -> Iterable[ObjectKey]:
        owner = meta.controller_of(obj)
        if owner and owner.get("kind") == kind.kind and owner.get("apiVersion") == kind.api_version:
            yield ObjectKey(meta.namespace(obj), str(owner.get("name")))

    return keys


def namespace_terminates(refused: StatusError) -> bool:
    """The object could not be made because its namespace is going away. That is no failure: no later try can succeed,
    and what asked for the object goes too."""
    return any(cause.get("reason") == NAMESPACE_TERMINATING for cause in refused.details.get("causes") or ())


class Informed(Caches, Protocol):
    """Caches that also tell their revisions and can be asked to list a kind anew."""

    def watching(self, kind: Kind) -> bool: ...

    def revision(self, kind: Kind) -> int: ...

    def lists(self, kind: Kind) -> Lists: ...

    def relist(self, kind: Kind) -> None: ...


class ControllerLoop:
    """Runs one controller. `changed` and `progressed` are fed by the informers, on the event loop."""

    def __init__(
        self, controller: Controller, caches: Informed, executor: Executor, clock: Clock, *, workers: int = 1
    ) -> None:
        self.controller = controller
        self.queue: WorkQueue[ObjectKey] = WorkQueue(clock)
        self.failures: dict[ObjectKey, str] = {}
        self._caches = caches
        self._executor = executor
        self._clock = clock
        self._workers = workers
        self._own = OwnWrites(caches)
        self._resting: dict[ObjectKey, float] = {}
        self._keys: dict[str, list[Keys]] = {}
        for watch in (Watch(controller.kind, itself), *controller.watches):
            self._keys.setdefault(watch.kind.resource, []).append(watch.keys)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Every kind the controller must see."""
        return (self.controller.kind, *(watch.kind for watch in self.controller.watches))

    def changed(self, kind: Kind, change: Change) -> None:
        """Queue the keys that an object's old or new state leads to."""
        for keys in self._keys.get(kind.resource, ()):
            for state in (change.old, change.new):
                if state is not None:
                    for key in keys(state, self._caches):
                        self._enqueue(key)

    def _enqueue(self, key: ObjectKey) -> None:
        rested_at = self._resting.get(key)
        if rested_at is None:
            self.queue.add(key)
            return
        left = rested_at - self._clock.monotonic()
        if left <= 0:
            del self._resting[key]
        self.queue.add_after(key, left)

    def progressed(self, kind: Kind) -> None:
        """Free the keys that were waiting for the cache of `kind` to show their writes."""
        for key in self._own.release(kind):
            self.queue.add(key)

    async def run(self) -> None:
        """Work until cancelled. Call when all caches are filled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                await self.process(key)
            finally:
                self.queue.done(key)

    async def process(self, key: ObjectKey) -> None:
        """One turn for one key. Raises nothing but what must end the loop (cancellation, a simulated crash)."""
        if self._own.park(key):
            return
        try:
            plan = await self._plan(key)
            await self._executor.apply(plan, lambda written: self._own.wrote(key, written))
        except LostAnswer as lost:
            if self._own.lost_answer(key, lost.kind):
                self._caches.relist(lost.kind)
            self._fail(key, str(lost), loud=True)
        except StatusError as refused:
            await self._refused(key, refused)
        except Exception as defect:
            log.exception("%s: %s: unexpected error; it will be tried again", self.controller.name, key)
            self._fail(key, f"{type(defect).__name__}: {defect}", loud=False)
        else:
            self.failures.pop(key, None)
            self.queue.succeed(key)
            if plan.requeue_after is not None:
                self.queue.add_after(key, plan.requeue_after.total_seconds())

    async def _plan(self, key: ObjectKey) -> Plan:
        began = self._clock.monotonic()
        plan = await self.controller.reconcile(key, self._caches, self._clock.now())
        ended = self._clock.monotonic()
        if ended - began > HEAVY:
            self._resting[key] = ended + min(RESTS * (ended - began), LONGEST_REST)
        return plan

    async def _refused(self, key: ObjectKey, refused: StatusError) -> None:
        if namespace_terminates(refused):
            log.debug("%s: %s: %s; nothing more is made there", self.controller.name, key, refused.message)
            self.failures.pop(key, None)
            self.queue.succeed(key)
            return
        ordinary = isinstance(refused, Conflict | NotFound | TooManyRequests)
        self._fail(key, f"{refused.reason}: {refused.message}", loud=not ordinary)
        if ordinary or not isinstance(self.controller, Reporter):
            return
        report = self.controller.report(key, self._caches, refused, self._clock.now())
        with suppress(StatusError, LostAnswer):
            await self._executor.apply(report, lambda written: self._own.wrote(key, written))

    def _fail(self, key: ObjectKey, message: str, *, loud: bool) -> None:
        delay = self.queue.retry(key)
        self.failures[key] = message
        if loud or self.queue.failures(key) >= LOUD_AFTER:
            log.warning("%s: %s: %s; trying again in %.3g s", self.controller.name, key, message, delay)
