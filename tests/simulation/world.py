"""A seeded Kubernetes in one object: an API server's store, watches that come late or break, a kubelet, a garbage
collector, and processes that run the product's own controllers and crash between any two writes.

Nothing here decides anything: plans, the executor, the queue and the loop are the production code. Everything that
may happen is a move, and a seeded dice picks the next, so that a seed replays exactly. To simulate another
controller, pass its factory to `World` and, where other parts of a cluster answer it, add an actor.

    world = World(seed, [[DeploymentController], [ReplicaSetController]], faults=Faults())
    world.create(apps_v1.DEPLOYMENT, deployment)
    await world.run(steps=200)     # with faults
    await world.settle()           # without; raises when it does not come to rest
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import clock as clocks
from dabbawala.apimachinery import meta
from dabbawala.apimachinery import patch as patching
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.patch_type import PatchType
from dabbawala.apimachinery.status import AlreadyExists, Conflict, Forbidden, ServiceUnavailable, not_found
from dabbawala.reconcile.apply import Executor
from dabbawala.reconcile.cache import Cache, Change, Lists, Selection
from dabbawala.reconcile.controller import Controller, ControllerLoop
from dabbawala.reconcile.plan import Record


class Crash(BaseException):
    """The process died here. Not an Exception, so that nothing in it can catch it."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Chances, per write or per step, of what may go wrong. A write may be refused, may lose its answer before or
    after it was done, or may be the last that its process ever made."""

    conflict: float = 0.03
    refused: float = 0.01
    lost_before: float = 0.01
    lost_after: float = 0.01
    crash: float = 0.02
    watch_lost: float = 0.02
    late: float = 0.7
    """Chance that a watch event stays on its way for another step."""


CALM = Faults(conflict=0, refused=0, lost_before=0, lost_after=0, crash=0, watch_lost=0, late=0)


@dataclass(frozen=True, slots=True)
class Happening:
    """One change of the store, as laws see it. `by` is a field manager, or who else did it."""

    kind: Kind
    old: Object | None
    new: Object | None
    by: str


Law = Callable[["World", Happening], Iterable[str]]
"""Says what is wrong with the true state just after a change. It does not raise, for who wrote would catch it."""

Actor = Callable[["World"], bool]
"""Makes one small move of a part that is not a controller (a kubelet, a proxy); False when it has nothing to do."""


class Store:
    """All objects, and every change in order."""

    def __init__(self, clock: VirtualClock, dice: random.Random) -> None:
        self.objects: dict[str, dict[ObjectKey, Object]] = {}
        self.log: dict[str, list[tuple[int, Change]]] = {}
        self.revision = 0
        self._clock = clock
        self._dice = dice

    def get(self, kind: Kind, key: ObjectKey) -> Object | None:
        return self.objects.get(kind.resource, {}).get(key)

    def list(self, kind: Kind) -> list[Object]:
        return list(self.objects.get(kind.resource, {}).values())

    def put(self, kind: Kind, obj: Object) -> Change:
        self.revision += 1
        metadata = {**obj["metadata"], "resourceVersion": str(self.revision)}
        stored = {**obj, "metadata": metadata}
        key = meta.key(stored)
        change = Change(self.get(kind, key), stored)
        self.objects.setdefault(kind.resource, {})[key] = stored
        self.log.setdefault(kind.resource, []).append((self.revision, change))
        return change

    def remove(self, kind: Kind, obj: Object) -> Change:
        self.revision += 1
        gone = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.revision)}}
        del self.objects[kind.resource][meta.key(obj)]
        change = Change(gone, None)
        self.log.setdefault(kind.resource, []).append((self.revision, change))
        return change

    def fresh(self, kind: Kind, obj: Object) -> Object:
        """What the server adds to a new object."""
        metadata = dict(obj["metadata"])
        prefix = metadata.pop("generateName", "")
        name = metadata.get("name") or prefix + "".join(self._dice.choices("bcdfghjklmnpqrstvwxz2456789", k=5))
        metadata |= {
            "name": name,
            "uid": f"{self._dice.getrandbits(64):016x}",
            "creationTimestamp": clocks.format_time(self._clock.now()),
            "generation": 1,
        }
        return {"apiVersion": kind.api_version, "kind": kind.kind, **obj, "metadata": metadata}


class Views:
    """The caches of one process: behind the store by events that have not arrived yet."""

    def __init__(self, store: Store, kinds: Iterable[Kind]) -> None:
        self.kinds = {kind.resource: kind for kind in kinds}
        self.loops: list[ControllerLoop] = []
        self._store = store
        self._caches = {resource: Cache() for resource in self.kinds}
        self._arrived = dict.fromkeys(self.kinds, 0)
        self._lists = dict.fromkeys(self.kinds, Lists(held=0, asked=0))
        self._broken: set[str] = set()
        self._listing: dict[str, Iterator[Change]] = {}

    def behind(self) -> list[Kind]:
        """Kinds with events on their way."""
        return [
            kind
            for resource, kind in self.kinds.items()
            if resource in self._broken
            or resource in self._listing
            or self._arrived[resource] < len(self._store.log.get(resource, ()))
        ]

    def lose(self, kind: Kind) -> None:
        """The watch breaks: events that happen from now on never arrive; the kind is listed anew some day."""
        self._broken.add(kind.resource)

    def deliver(self, kind: Kind) -> None:
        """One event arrives; after a broken watch a list, of which one change is taken in at a time."""
        if kind.resource in self._broken:
            self._ask(kind)
        if kind.resource in self._listing:
            return self._take_in(kind)
        _, change = self._store.log[kind.resource][self._arrived[kind.resource]]
        self._arrived[kind.resource] += 1
        cache = self._caches[kind.resource]
        self._tell(kind, cache.put(change.new) if change.new is not None else cache.remove(change.object))
        return self._progress(kind)

    def relist(self, kind: Kind) -> None:
        """Give up what is under way; the kind is listed anew some day."""
        self._broken.add(kind.resource)

    def fill(self, kind: Kind) -> None:
        """The first list, before which no controller runs."""
        self._ask(kind)
        while kind.resource in self._listing:
            self._take_in(kind)

    def _ask(self, kind: Kind) -> None:
        self._broken.discard(kind.resource)
        self._lists[kind.resource] = Lists(self._lists[kind.resource].held, self._lists[kind.resource].asked + 1)
        self._listing[kind.resource] = iter(
            self._caches[kind.resource].replace(self._store.list(kind), self._store.revision)
        )
        self._arrived[kind.resource] = len(self._store.log.get(kind.resource, ()))

    def _take_in(self, kind: Kind) -> None:
        change = next(self._listing[kind.resource], None)
        if change is not None:
            return self._tell(kind, change)
        del self._listing[kind.resource]
        asked = self._lists[kind.resource].asked
        self._lists[kind.resource] = Lists(asked, asked)
        return self._progress(kind)

    def get(self, kind: Kind, key: ObjectKey) -> Object | None:
        return self._caches[kind.resource].get(key)

    def list(self, kind: Kind, namespace: str | None = None, selector: Selection = None) -> list[Object]:
        return self._caches[kind.resource].list(namespace, selector)

    def owned_by(self, kind: Kind, owner_uid: str) -> Sequence[Object]:
        return self._caches[kind.resource].owned_by(owner_uid)

    def where(self, kind: Kind, field: str, value: str) -> Sequence[Object]:
        return self._caches[kind.resource].where(field, value)

    def watching(self, kind: Kind) -> bool:
        return kind.resource in self.kinds

    def revision(self, kind: Kind) -> int:
        return self._caches[kind.resource].revision

    def lists(self, kind: Kind) -> Lists:
        return self._lists[kind.resource]

    def _tell(self, kind: Kind, change: Change) -> None:
        for loop in self.loops:
            loop.changed(kind, change)

    def _progress(self, kind: Kind) -> None:
        for loop in self.loops:
            loop.progressed(kind)


class Process:
    """Controllers that share caches and die together."""

    def __init__(self, world: World, factories: Sequence[Callable[[], Controller]]) -> None:
        self._world = world
        self._factories = factories
        self.start()

    def start(self) -> None:
        """Start, or start again with nothing but what the API says."""
        world = self._world
        controllers = [factory() for factory in self._factories]
        kinds = [kind for item in controllers for kind in (item.kind, *(watch.kind for watch in item.watches))]
        self.views = Views(world.store, kinds)
        self.loops = [
            ControllerLoop(
                item, self.views, Executor(Door(world, item.name), world, field_manager=item.name), world.clock
            )
            for item in controllers
        ]
        self.views.loops = self.loops
        for kind in self.views.kinds.values():
            self.views.fill(kind)

    def _executor(self, manager: str) -> Executor:
        return Executor(Door(self._world, manager), self._world, field_manager=manager)

    async def turn(self, loop: ControllerLoop) -> bool:
        """One reconciliation; False when no key is due."""
        key = loop.queue.take()
        if key is None:
            return False
        try:
            await loop.process(key)
        except Crash:
            self.start()
        else:
            loop.queue.done(key)
        return True


class World:
    """The store, the processes and the dice."""

    def __init__(
        self,
        seed: int,
        processes: Sequence[Sequence[Callable[[], Controller]]],
        *,
        actors: Sequence[Actor] = (),
        laws: Sequence[Law] = (),
        faults: Faults = CALM,
    ) -> None:
        self.dice = random.Random(seed)
        self.clock = VirtualClock()
        self.store = Store(self.clock, self.dice)
        self.faults = faults
        self.events: list[Record] = []
        self.violations: list[str] = []
        self.writes = 0
        self._actors = actors
        self._laws = laws
        self.processes = [Process(self, factories) for factories in processes]

    def record(self, event: Record) -> None:
        self.events.append(event)

    # What users and actors do; controllers go through a `Door`.

    def create(self, kind: Kind, obj: Object, *, by: str = "user") -> Object:
        fresh = self.store.fresh(kind, obj)
        if self.store.get(kind, meta.key(fresh)) is not None:
            raise AlreadyExists(f'{kind.resource} "{meta.name(fresh)}" already exists')
        return self._happened(kind, self.store.put(kind, fresh), by)

    def change(self, kind: Kind, obj: Object, *, by: str = "user") -> Object:
        """Replace an object; the generation counts changes of its spec. Changing nothing writes nothing."""
        old = self.store.get(kind, meta.key(obj))
        if old is None:
            raise not_found(kind.plural, meta.name(obj), kind.group)
        if old.get("spec") != obj.get("spec"):
            obj = {**obj, "metadata": {**obj["metadata"], "generation": meta.generation(old) + 1}}
        if obj == old:
            return old
        if meta.is_deleting(obj) and not meta.finalizers(obj) and "deletionGracePeriodSeconds" not in obj["metadata"]:
            return self.remove(kind, obj, by=by)
        return self._happened(kind, self.store.put(kind, obj), by)

    def remove(self, kind: Kind, obj: Object, *, by: str = "user") -> Object:
        """Take an object out of the store, whatever it may be waiting for."""
        return self._happened(kind, self.store.remove(kind, obj), by)

    def _happened(self, kind: Kind, change: Change, by: str) -> Object:
        self.writes += 1
        for law in self._laws:
            self.violations.extend(law(self, Happening(kind, change.old, change.new, by)))
        return change.object

    # Time passes.

    async def run(self, steps: int) -> None:
        """So many moves, chosen by the dice, with faults."""
        for _ in range(steps):
            await self.step()

    async def step(self) -> None:
        process = self.dice.choice(self.processes)
        for kind in process.views.behind():
            if self.dice.random() < self.faults.watch_lost:
                process.views.lose(kind)
            while kind in process.views.behind() and self.dice.random() >= self.faults.late:
                process.views.deliver(kind)
        worked = await process.turn(self.dice.choice(process.loops))
        acted = bool(self._actors) and self.dice.choice(self._actors)(self)
        if not worked and not acted:
            self.clock.advance(self.dice.choice((0.01, 0.5, 2.0)))

    async def settle(self, *, turns: int = 3000, horizon: timedelta = timedelta(hours=1)) -> None:
        """No more faults: let everything arrive and everybody work until nothing is left to do within `horizon`."""
        self.faults = CALM
        end = self.clock.now() + horizon
        for _ in range(turns):
            if not await self._quiet_turn():
                due = self._next_due()
                if due is None or self.clock.now() + timedelta(seconds=due) > end:
                    return
                self.clock.advance(due)
        raise AssertionError(f"the world does not come to rest: {self.events[-5:]}")

    async def _quiet_turn(self) -> bool:
        busy = False
        for process in self.processes:
            for kind in process.views.behind():
                process.views.deliver(kind)
                busy = True
            for loop in process.loops:
                busy |= await process.turn(loop)
        for actor in self._actors:
            busy |= actor(self)
        return busy

    def _next_due(self) -> float | None:
        """Seconds until the next key is due in any queue."""
        moments = [due for item in self.processes for loop in item.loops if (due := loop.queue.next_due()) is not None]
        return max(min(moments) - self.clock.monotonic(), 0.001) if moments else None

    async def writes_at_rest(self) -> int:
        """How many writes happen when every controller looks at everything again; 0 in a world that rests."""
        before = self.writes
        for process in self.processes:
            for kind in process.views.kinds.values():
                for obj in self.store.list(kind):
                    for loop in process.loops:
                        loop.changed(kind, Change(None, obj))
        await self.settle()
        return self.writes - before


class Door:
    """The API as one controller's client sees it, faults included."""

    def __init__(self, world: World, manager: str) -> None:
        self._world = world
        self._manager = manager

    def writing_as(self, field_manager: str) -> Door:
        return Door(self._world, field_manager)

    async def get(self, kind: Kind, name: str, namespace: str = "") -> Object:
        found = self._world.store.get(kind, ObjectKey(namespace, name))
        if found is None:
            raise not_found(kind.plural, name, kind.group)
        return found

    async def create(self, kind: Kind, obj: Object, namespace: str = "") -> Object:
        return self._write(lambda: self._world.create(kind, obj, by=self._manager))

    async def update(self, kind: Kind, obj: Object, subresource: str = "") -> Object:
        current = await self.get(kind, meta.name(obj), meta.namespace(obj))
        self._check(current, meta.metadata(obj))
        return self._write(lambda: self._world.change(kind, _part(current, obj, subresource), by=self._manager))

    async def patch(
        self, kind: Kind, name: str, namespace: str, body: Any, *, type: PatchType = PatchType.MERGE,
        subresource: str = "",
    ) -> Object:  # fmt: skip
        assert type is PatchType.MERGE, "the simulated API reads merge patches only"
        current = await self.get(kind, name, namespace)
        self._check(current, body.get("metadata") or {}, uncertain=True)
        patched = patching.merge_patch(current, body)
        patched["metadata"]["resourceVersion"] = meta.resource_version(current)
        return self._write(lambda: self._world.change(kind, _part(current, patched, subresource), by=self._manager))

    async def delete(
        self, kind: Kind, name: str, namespace: str = "", *, uid: str = "",
        grace_period_seconds: int | None = None, propagation_policy: str = "",
    ) -> Object:  # fmt: skip
        current = await self.get(kind, name, namespace)
        if uid and meta.uid(current) != uid:
            raise Conflict(f"the uid in the precondition ({uid}) is not the uid in record ({meta.uid(current)})")
        return self._write(lambda: self._delete(kind, current))

    async def evict(self, name: str, namespace: str) -> Object:
        raise NotImplementedError("nobody evicts in these worlds yet")

    def _delete(self, kind: Kind, current: Object) -> Object:
        graceful = kind.plural == "pods" and (current.get("spec") or {}).get("nodeName")
        if not graceful and not meta.finalizers(current):
            return self._world.remove(kind, current, by=self._manager)
        if meta.is_deleting(current):
            return current
        marks: Object = {"deletionTimestamp": clocks.format_time(self._world.clock.now())}
        if graceful:
            marks["deletionGracePeriodSeconds"] = 30
        return self._world.change(kind, {**current, "metadata": {**current["metadata"], **marks}}, by=self._manager)

    def _check(self, current: Object, given: Any, *, uncertain: bool = False) -> None:
        wanted = given.get("resourceVersion")
        if wanted and wanted != meta.resource_version(current):
            raise Conflict("the object has been modified; please apply your changes to the latest version")
        if given.get("uid") and given["uid"] != meta.uid(current):
            raise Conflict("the uid in the precondition is not the uid in record")
        if wanted and uncertain and self._world.dice.random() < self._world.faults.conflict:
            raise Conflict("injected: somebody else wrote first")

    def _write(self, write: Callable[[], Object]) -> Object:
        dice, faults = self._world.dice, self._world.faults
        if dice.random() < faults.refused:
            raise Forbidden("injected: exceeded quota")
        if dice.random() < faults.lost_before:
            raise ServiceUnavailable("injected: connection refused")
        if dice.random() < faults.crash / 2:
            raise Crash
        answer = write()
        if dice.random() < faults.lost_after:
            raise ServiceUnavailable("injected: connection reset")
        if dice.random() < faults.crash / 2:
            raise Crash
        return answer


def _part(current: Object, new: Object, subresource: str) -> Object:
    """What a write may change: the status through its subresource, everything else through the object itself."""
    if subresource == "status":
        return {**current, "status": new.get("status") or {}, "metadata": {**current["metadata"]}}
    merged = {**new, "metadata": {**new["metadata"], "generation": meta.generation(current)}}
    if "status" in current:
        merged["status"] = current["status"]
    else:
        merged.pop("status", None)
    return merged
