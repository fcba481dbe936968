"""Named processes of the cluster, kept running.

The holder starts them, so they outlive the control plane; a control plane that comes back finds them running and goes
on watching. One that ends is started again, each time later while it keeps ending at once. Whatever was up for a while
is started again after the first, shortest delay, however often that was: a kill from outside must not cost a node more
than itself.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from dabbawala.apimachinery.clock import Clock
from dabbawala.cluster.sandbox.client import HolderClient, SandboxError
from dabbawala.cluster.sandbox.spec import ProcessSpec

log = logging.getLogger("dabbawala.supervisor")

FIRST_DELAY_SECONDS, LAST_DELAY_SECONDS = 0.2, 5.0
FORGIVEN_AFTER_SECONDS = 2.0
ALREADY_RUNNING = "AlreadyRunning"

Spawn = Callable[[], Awaitable[int]]


def spawning(holder: HolderClient, process: ProcessSpec) -> Spawn:
    return lambda: holder.spawn(process)


async def keep(holder: HolderClient, name: str, spawn: Spawn, clock: Clock) -> None:
    """Run the process of that name, again and again, until cancelled. Raises HolderGone when the holder has ended."""
    delay = FIRST_DELAY_SECONDS
    while True:
        since = clock.monotonic()
        try:
            await spawn()
        except SandboxError as refused:
            if refused.reason != ALREADY_RUNNING:
                raise
        ended = await holder.wait(name)
        if clock.monotonic() - since > FORGIVEN_AFTER_SECONDS:
            delay = FIRST_DELAY_SECONDS
        how = f"signal {ended.signal}" if ended.signal else f"status {ended.exit_code}"
        log.warning("%s ended with %s; starting it again in %.1f s", name, how, delay)
        await clock.sleep(delay)
        delay = min(delay * 2, LAST_DELAY_SECONDS)
