"""Bringing a configuration to one Envoy: write step by step, and wait for each step to be run before the next."""

from __future__ import annotations

from pathlib import Path

from dabbawala.apimachinery.clock import Clock
from dabbawala.cluster.dataplane import xds
from dabbawala.cluster.dataplane.acceptance import Observer, Verdict
from dabbawala.cluster.dataplane.admin import EnvoyGone
from dabbawala.cluster.dataplane.resources import Config

POLLS_SECONDS = (0.0005, 0.0005, 0.001, 0.001, 0.002, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
"""Waits between looks; an Envoy takes 1 to 4 ms. What is not there after all of them is reported, and looked at again
by the controller."""

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
        self.verdict = Verdict(node, down="nothing has been delivered yet")

    async def deliver(self, wanted: Config) -> Verdict:
        """Write what differs and read back. With no Envoy to ask, everything is written for when it starts."""
        self.verdict = await self._deliver(wanted)
        return self.verdict

    async def _deliver(self, wanted: Config) -> Verdict:
        try:
            if not self._written:
                self._write(wanted)
                return await self._settle()
            for step in xds.steps(self._current, wanted):
                self._write(step)
                verdict = await self._settle()
                if not verdict.settled:
                    return verdict
            return verdict
        except EnvoyGone as gone:
            self._write(wanted)
            return Verdict(self.node, down=f"its Envoy does not answer ({gone})")

    def retry_listeners(self) -> None:
        """Have the Envoy try again to bind what it could not."""
        self._observer.about_to_write()
        xds.rewrite(self.folder, xds.LISTENERS)

    def _write(self, config: Config) -> None:
        self._observer.about_to_write()
        self._written = xds.write(self.folder, self._encoder.encode(config), self._written)
        self._current = config

    async def _settle(self) -> Verdict:
        """Look until everything written is run or refused, or the patience of this round is over."""
        verdict = Verdict(self.node)
        for look, pause in enumerate((0.0, *POLLS_SECONDS)):
            if pause:
                await self._clock.sleep(pause)
            missing = await self._observer.missing(self._written)
            if not missing:
                await self._observer.worker_caught_up()
                return Verdict(self.node)
            verdict = Verdict(self.node, pending=missing)
            if look >= JUDGED_AFTER or self._observer.knows_refused(self._written, missing):
                verdict = await self._observer.judge(self._written, missing)
                if verdict.settled:
                    await self._observer.worker_caught_up()
                    break
        return verdict
