"""Carrying out a plan through the API, once, for every controller.

Actions run in order and stop at the first that fails. A run of creations or deletions of one kind goes out in
batches of 1, 2, 4 … LARGEST_BATCH at once, so that a refusal (a quota, a policy) is met once and not a thousand
times. Everything is idempotent: what a crash left half done is done again or found done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, Self, assert_never

from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.patch_type import PatchType
from dabbawala.apimachinery.status import AlreadyExists, Conflict, NotFound, ServiceUnavailable, StatusError, Timeout
from dabbawala.reconcile.cache import revision_of
from dabbawala.reconcile.own_writes import Written
from dabbawala.reconcile.plan import Action, Create, Delete, Evict, Patch, Plan, Record, Update

LARGEST_BATCH = 32
"""Writes in flight at once for one plan."""


class Writer(Protocol):
    """The writes that plans need; `client.Client` has them, and so has a simulated world."""

    def writing_as(self, field_manager: str) -> Self: ...

    async def get(self, kind: Kind, name: str, namespace: str = "") -> Object: ...

    async def create(self, kind: Kind, obj: Object, namespace: str = "") -> Object: ...

    async def update(self, kind: Kind, obj: Object, subresource: str = "") -> Object: ...

    async def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str,
        body: Any,
        *,
        type: PatchType = PatchType.MERGE,
        subresource: str = "",
    ) -> Object: ...

    async def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        grace_period_seconds: int | None = None,
        propagation_policy: str = "",
    ) -> Object: ...

    async def evict(self, name: str, namespace: str) -> Object: ...


class Recorder(Protocol):
    """Takes events without waiting; a lost event never fails a plan."""

    def record(self, event: Record) -> None: ...


class LostAnswer(Exception):
    """A write of `kind` got no answer, so nobody knows whether it happened."""

    def __init__(self, kind: Kind, cause: StatusError) -> None:
        super().__init__(f"no answer to a write of {kind.resource}: {cause.message}")
        self.kind = kind


Note = Callable[[Written], None]


class Executor:
    """Applies plans under one field manager."""

    def __init__(self, client: Writer, recorder: Recorder, *, field_manager: str) -> None:
        self._client = client.writing_as(field_manager)
        self._recorder = recorder

    async def apply(self, plan: Plan, note: Note) -> None:
        """Carry out the plan and tell `note` of every write. Raises StatusError or LostAnswer at the first failure;
        what follows it has not been tried."""
        for batch in batches(plan.actions):
            if len(batch) == 1:
                await self._act(batch[0], note)
            else:
                await _all(self._act(action, note) for action in batch)

    async def _act(self, action: Action, note: Note) -> None:
        match action:
            case Create():
                await self._create(action, note)
            case Patch():
                await self._patch(action, note)
            case Update():
                await self._update(action, note)
            case Delete():
                await self._delete(action, note)
            case Evict():
                await self._evict(action)
            case Record():
                self._recorder.record(action)
            case _:
                assert_never(action)

    async def _create(self, action: Create, note: Note) -> None:
        namespace = meta.namespace(action.object)
        try:
            made = await self._client.create(action.kind, action.object, namespace)
        except AlreadyExists:
            made = await self._client.get(action.kind, meta.name(action.object), namespace)
            if not same_owner(made, action.object):
                raise
        except (ServiceUnavailable, Timeout) as lost:
            raise LostAnswer(action.kind, lost) from lost
        else:
            self._announce(action, made)
        note(_written(action.kind, made))

    def _announce(self, action: Create, made: Object) -> None:
        if action.announce_to is not None:
            message = f"Created {action.kind.singular or action.kind.kind.lower()}: {meta.name(made)}"
            self._recorder.record(Record(action.announce_to, "SuccessfulCreate", message))

    async def _patch(self, action: Patch, note: Note) -> None:
        body = action.body
        if action.resource_version:
            body = {**body, "metadata": {**body.get("metadata", {}), "resourceVersion": action.resource_version}}
        try:
            made = await self._client.patch(
                action.kind,
                action.key.name,
                action.key.namespace,
                body,
                type=action.type,
                subresource=action.subresource,
            )
        except (ServiceUnavailable, Timeout) as lost:
            raise LostAnswer(action.kind, lost) from lost
        note(_written(action.kind, made))

    async def _update(self, action: Update, note: Note) -> None:
        try:
            made = await self._client.update(action.kind, action.object, action.subresource)
        except (ServiceUnavailable, Timeout) as lost:
            raise LostAnswer(action.kind, lost) from lost
        note(_written(action.kind, made))

    async def _delete(self, action: Delete, note: Note) -> None:
        try:
            answer = await self._client.delete(
                action.kind,
                action.key.name,
                action.key.namespace,
                uid=action.uid,
                grace_period_seconds=action.grace_period_seconds,
                propagation_policy=action.propagation_policy,
            )
        except NotFound:
            return
        except Conflict:
            await self._deletion_conflict(action)
            return
        except (ServiceUnavailable, Timeout) as lost:
            raise LostAnswer(action.kind, lost) from lost
        revision = revision_of(answer) if meta.is_deleting(answer) else 0
        note(Written(action.kind, action.key, revision, action.uid or _deleted_uid(answer)))

    async def _deletion_conflict(self, action: Delete) -> None:
        """Conflict is fine when a namesake with another uid stands there now: ours is gone."""
        try:
            found = await self._client.get(action.kind, action.key.name, action.key.namespace)
        except NotFound:
            return
        if not action.uid or meta.uid(found) == action.uid:
            raise Conflict(f"{action.kind.resource} {action.key} changed while it was being deleted")

    async def _evict(self, action: Evict) -> None:
        try:
            await self._client.evict(action.key.name, action.key.namespace)
        except NotFound:
            return


def batches(actions: Sequence[Action]) -> Iterator[Sequence[Action]]:
    """Runs of creations or deletions of one kind in growing batches; everything else one by one, in order."""
    start = 0
    while start < len(actions):
        end = start + 1
        while end < len(actions) and _alike(actions[start], actions[end]):
            end += 1
        size = 1
        while start < end:
            yield actions[start : min(start + size, end)]
            start = min(start + size, end)
            size = min(size * 2, LARGEST_BATCH)


def _alike(first: Action, other: Action) -> bool:
    if isinstance(first, Create):
        return isinstance(other, Create) and other.kind is first.kind
    return isinstance(first, Delete) and isinstance(other, Delete) and other.kind is first.kind


async def _all(writes: Iterator[Any]) -> None:
    """Wait for all of them, then raise the worst failure: nothing may still be in flight when the loop plans anew,
    and a lost answer must not be hidden by a refusal beside it."""
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    if failures:
        raise min(failures, key=_mildness)


def _mildness(failure: BaseException) -> int:
    if not isinstance(failure, Exception):
        return 0
    return 1 if isinstance(failure, LostAnswer) else 2


def same_owner(found: Object, wanted: Object) -> bool:
    """Both have the same controller, or neither has one."""
    ours, theirs = meta.controller_of(wanted), meta.controller_of(found)
    return (ours and ours.get("uid")) == (theirs and theirs.get("uid"))


def _written(kind: Kind, made: Object) -> Written:
    return Written(kind, meta.key(made), revision_of(made), meta.uid(made))


def _deleted_uid(answer: Object) -> str:
    """From the object itself, or from the details of a Status."""
    return meta.uid(answer) or str((answer.get("details") or {}).get("uid", ""))
