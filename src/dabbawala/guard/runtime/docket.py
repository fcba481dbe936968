"""Events on their way to a verdict: judged at once, or when the API has told whose container it was."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace

from dabbawala.apimachinery.clock import Clock
from dabbawala.guard.runtime.alerts import Alert
from dabbawala.guard.runtime.engine import Engine
from dabbawala.guard.runtime.events import Event
from dabbawala.guard.runtime.pods import Pods

HOLD_SECONDS = 3.0
"""How long an event waits for the API to know its pod, which is told of a little after its first program starts."""

HELD_MAX = 2_000
"""Events that wait; further ones are judged at once, without what the API knows."""


class Docket:
    """`foreign` counts events of pods that the API does not know: another cluster's of this machine, not ours."""

    def __init__(self, engine: Engine, clock: Clock, pods: Pods | None, *, deliver: Callable[[Alert], None]) -> None:
        self.events: Counter[str] = Counter()
        self.alerts = 0
        self.foreign = 0
        self._engine = engine
        self._clock = clock
        self._pods = pods
        self._deliver = deliver
        self._held: deque[tuple[float, Event]] = deque()
        if pods is not None:
            pods.heard = self._release

    def take(self, event: Event) -> None:
        self.events[event.type] += 1
        if self._pods is None or event.container is None:
            self._judge(event)
            return
        workload = self._pods.workload(event.container)
        if workload is None and len(self._held) < HELD_MAX:
            self._held.append((self._clock.monotonic() + HOLD_SECONDS, event))
        else:
            self._judge(replace(event, workload=workload))

    def _judge(self, event: Event) -> None:
        for alert in self._engine.evaluate(event):
            self.alerts += 1
            self._deliver(alert)

    def _release(self) -> None:
        """The API has told something: events whose pod is known now need not wait."""
        assert self._pods is not None, "only pods call this"
        waiting, self._held = self._held, deque()
        for until, event in waiting:
            workload = self._pods.workload(event.container) if event.container is not None else None
            if workload is None:
                self._held.append((until, event))
            else:
                self._judge(replace(event, workload=workload))

    async def run(self) -> None:
        """Give up on events whose pod nobody knows, until cancelled."""
        while True:
            await self._clock.sleep(HOLD_SECONDS / 2)
            now = self._clock.monotonic()
            while self._held and self._held[0][0] < now:
                self._held.popleft()
                self.foreign += 1
