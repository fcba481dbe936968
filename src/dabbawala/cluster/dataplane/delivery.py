"""Bringing a configuration to one Envoy: write step by step, and wait for each step to be run before the next.

An Envoy that is only slow, as on a machine with too much to do, is waited for: the next step is never written over one
that it may not have read. Only where no Envoy runs everything is written at once, for the one that will be started.
"""

from __future__ import annotations

from pathlib import Path

from dabbawala.apimachinery.clock import Clock
from dabbawala.cluster.dataplane import xds
from dabbawala.cluster.dataplane.acceptance import Observer, Verdict
from dabbawala.cluster.dataplane.admin import EnvoyGone, Unanswered
from dabbawala.cluster.dataplane.resources import Config

POLLS_SECONDS = (0.0005, 0.0005, 0.001, 0.001, 0.002, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
"""Waits between looks; an Envoy takes 1 to 4 ms. What is not there after all of them is reported, and looked at again
by the controller."""

STEP_SECONDS_MAX = 10.0
"""How long an Envoy that answers may take for a step. One that has not run it by then is stuck with it, and what others
wait for goes on."""

JUDGED_AFTER = 7
"""Looks without success after which it is asked whether the Envoy has refused."""


class Delivery:
    """One Envoy's folder and what it last made of it. `deliver` is not to be called twice at once."""

    def __init__(self, node: str, folder: Path, log_path: Path, clock: Clock) -> None:
        self.node = node
        self.folder = folder / "xds"
        self._observer = Observer(node, folder, log_path)
        self._encoder = xds.Encoder()
        self._clock = clock
        self._current, self._written = xds.read(self.folder)
        self._awaited = frozenset(self._written)  # of a control plane before this one, which may have ended in a step
        self._patient_until = clock.monotonic() + STEP_SECONDS_MAX
        self.verdict = Verdict(node, down="nothing has been delivered yet")

    async def deliver(self, wanted: Config) -> Verdict:
        """Write what differs and read back. With no Envoy to ask, everything is written for when it starts."""
        self.verdict = await self._deliver(wanted)
        return self.verdict

    async def _deliver(self, wanted: Config) -> Verdict:
        try:
            if self._awaited:
                verdict = await self._settle()
                if self._awaited and self._clock.monotonic() < self._patient_until:
                    return verdict
            if not self._written:
                self._write(wanted)
                return await self._settle()
            for step in xds.steps(self._current, wanted):
                self._write(step)
                verdict = await self._settle()
                if not verdict.settled:
                    return verdict
            return verdict
        except Unanswered as busy:
            return Verdict(self.node, down=f"its Envoy is slow ({busy}); what it runs goes on")
        except EnvoyGone as gone:
            self._write(wanted)
            return Verdict(self.node, down=f"its Envoy does not answer ({gone})")

    def retry_listeners(self) -> None:
        """Have the Envoy try again to bind what it could not."""
        self._observer.about_to_write()
        xds.rewrite(self.folder, xds.LISTENERS)

    def _write(self, config: Config) -> None:
        self._observer.about_to_write()
        before = self._written
        self._written = xds.write(self.folder, self._encoder.encode(config), before)
        self._awaited = frozenset(name for name, version in self._written.items() if before.get(name) != version)
        self._patient_until = self._clock.monotonic() + STEP_SECONDS_MAX
        self._current = config

    async def _settle(self) -> Verdict:
        """Look until everything written is run or refused, or the patience of this round is over."""
        verdict = Verdict(self.node)
        for look, pause in enumerate((0.0, *POLLS_SECONDS)):
            if pause:
                await self._clock.sleep(pause)
            missing = await self._observer.missing(self._written)
            if not missing:
                await self._taken()
                return Verdict(self.node)
            verdict = Verdict(self.node, pending=missing)
            if look >= JUDGED_AFTER or self._observer.knows_refused(self._written, missing):
                verdict = await self._observer.judge(self._written, missing)
                if verdict.settled:
                    break
        if not self._awaited & verdict.pending:
            await self._taken()
        return verdict

    async def _taken(self) -> None:
        """The worker has all of the step, too."""
        await self._observer.worker_caught_up()
        self._awaited = frozenset()
