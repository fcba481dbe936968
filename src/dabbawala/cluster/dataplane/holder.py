"""Envoys as named processes of the sandbox's holder, so that they outlive the control plane."""

from __future__ import annotations

import contextlib
import os
import signal

from dabbawala.cluster.dataplane.keeper import Launch
from dabbawala.cluster.sandbox.client import HolderClient, HolderGone, SandboxError
from dabbawala.cluster.sandbox.spec import ProcessSpec


class HolderSpawner:
    """A `keeper.Spawner` that asks the holder."""

    def __init__(self, holder: HolderClient) -> None:
        self._holder = holder

    async def start(self, launch: Launch) -> None:
        environment = {"PATH": os.defpath}
        wanted = ProcessSpec(launch.name, launch.argv, launch.log_path, env=environment, node=launch.node)
        try:
            await self._holder.spawn(wanted)
        except SandboxError as refused:
            if refused.reason != "AlreadyRunning":
                raise OSError(f"{refused.reason}: {refused.message}") from refused
        except HolderGone as gone:
            raise OSError(str(gone)) from gone

    async def wait(self, name: str) -> int:
        try:
            ended = await self._holder.wait(name)
        except (SandboxError, HolderGone):
            return 255
        return 128 + ended.signal if ended.signal else ended.exit_code

    async def stop(self, name: str) -> None:
        with contextlib.suppress(SandboxError, HolderGone):
            await self._holder.signal(name, signal.SIGTERM)
