"""Leader election by Lease: of several processes with one identity each, one acts.

A candidate takes the Lease when nobody holds it, when it was released, or when its holder has not renewed it for
LEASE_DURATION as measured by the candidate's own clock since it last saw a change (clocks of machines need not
agree). A leader that cannot renew within RENEW_DEADLINE stops acting before another may start.
Source: client-go tools/leaderelection; coordination.k8s.io/v1 Lease.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from dabbawala.api import coordination_v1
from dabbawala.apimachinery import clock as clocks
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.apimachinery.status import AlreadyExists, Conflict, NotFound, StatusError
from dabbawala.reconcile.apply import Writer

log = logging.getLogger("dabbawala.election")

LEASE_DURATION = 15.0
"""Seconds without renewal after which others may take over."""

RENEW_DEADLINE = 10.0
"""Seconds after which a leader that could not renew gives up."""

RETRY_PERIOD = 2.0
"""Seconds between attempts."""


class Election:
    """One candidate for one Lease."""

    def __init__(self, client: Writer, clock: Clock, lease: ObjectKey, identity: str) -> None:
        self.identity = identity
        self._client = client
        self._clock = clock
        self._lease = lease
        self._seen: tuple[Object, float] | None = None

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait to be elected, then run `work` until it ends or leadership is lost, and stand again, for ever.
        Cancelling it ends the work and releases the Lease."""
        while True:
            await self._win()
            log.info("%s: %s leads", self._lease, self.identity)
            try:
                await self._work_while_leading(work)
            finally:
                with suppress(StatusError, OSError):
                    await self._within(RENEW_DEADLINE, self._release())

    async def _win(self) -> None:
        while not await self._attempt():
            await self._clock.sleep(RETRY_PERIOD)

    async def _work_while_leading(self, work: Callable[[], Awaitable[None]]) -> None:
        working = asyncio.ensure_future(work())
        renewing = asyncio.ensure_future(self._renew())
        try:
            await asyncio.wait((working, renewing), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
            else:
                log.warning("%s: %s lost the lead", self._lease, self.identity)
        finally:
            for task in (renewing, working):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _renew(self) -> None:
        """Return when the Lease could not be renewed in time. An attempt that gets no answer does not hold up the end,
        and counts from when it was made: that is what the others may have seen last."""
        renewed = self._clock.monotonic()
        while (left := renewed + RENEW_DEADLINE - self._clock.monotonic()) > 0:
            await self._clock.sleep(min(RETRY_PERIOD, left))
            began = self._clock.monotonic()
            if await self._within(renewed + RENEW_DEADLINE - began, self._attempt()):
                renewed = began

    async def _within(self, seconds: float, question: Coroutine[Any, Any, bool]) -> bool:
        """Its answer; False when none came within so many seconds."""
        asked = asyncio.ensure_future(question)
        limit = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait((asked, limit), return_when=asyncio.FIRST_COMPLETED)
            return asked.done() and asked.result()
        finally:
            asked.cancel()
            limit.cancel()

    async def _attempt(self) -> bool:
        """Take or renew the Lease; False when another holds it or the API could not be asked."""
        try:
            return await self._take_or_renew()
        except (AlreadyExists, Conflict):
            return False
        except (StatusError, OSError) as refused:
            log.info("%s: cannot take or renew: %s", self._lease, refused)
            return False

    async def _take_or_renew(self) -> bool:
        now = clocks.format_micro_time(self._clock.now())
        try:
            lease = await self._client.get(coordination_v1.LEASE, self._lease.name, self._lease.namespace)
        except NotFound:
            await self._client.create(coordination_v1.LEASE, self._fresh(now), self._lease.namespace)
            return True
        spec = lease.get("spec") or {}
        mine = spec.get("holderIdentity") == self.identity
        if not mine and spec.get("holderIdentity") and not self._stale(spec):
            return False
        claim = {"holderIdentity": self.identity, "leaseDurationSeconds": int(LEASE_DURATION), "renewTime": now}
        if not mine:
            claim |= {"acquireTime": now, "leaseTransitions": int(spec.get("leaseTransitions") or 0) + 1}
        await self._client.update(coordination_v1.LEASE, {**lease, "spec": {**spec, **claim}})
        return True

    def _stale(self, spec: Object) -> bool:
        """Unchanged for the duration it names, since this candidate first saw it so."""
        moment = self._clock.monotonic()
        if self._seen is None or self._seen[0] != spec:
            self._seen = (spec, moment)
        return moment - self._seen[1] >= float(spec.get("leaseDurationSeconds") or LEASE_DURATION)

    async def _release(self) -> bool:
        lease = await self._client.get(coordination_v1.LEASE, self._lease.name, self._lease.namespace)
        spec = lease.get("spec") or {}
        if spec.get("holderIdentity") != self.identity:
            return False
        freed = {**spec, "holderIdentity": "", "leaseDurationSeconds": 1}
        await self._client.update(coordination_v1.LEASE, {**lease, "spec": freed})
        return True

    def _fresh(self, now: str) -> Object:
        return {
            "apiVersion": coordination_v1.LEASE.api_version,
            "kind": coordination_v1.LEASE.kind,
            "metadata": {"name": self._lease.name, "namespace": self._lease.namespace},
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": int(LEASE_DURATION),
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": 0,
            },
        }
