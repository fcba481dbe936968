"""Sandboxes of an earlier agent whose pod the API has no more: each is removed as soon as the runtime can."""

from __future__ import annotations

import logging

from dabbawala.cluster.kubelet.addresses import AddressPool
from dabbawala.cluster.kubelet.runtimes.runtime import Runtime, RuntimeFailure
from dabbawala.cluster.sandbox.spec import PodStatus

log = logging.getLogger("dabbawala.kubelet")


class Strays:
    """A sandbox that cannot be removed keeps its address, so that no pod is given it."""

    def __init__(self, runtime: Runtime, addresses: AddressPool) -> None:
        self._runtime = runtime
        self._addresses = addresses
        self._left: dict[str, PodStatus] = {}

    def add(self, report: PodStatus) -> None:
        log.info("pod %s/%s is gone from the API; its sandbox goes too", report.namespace, report.name)
        self._left[report.uid] = report

    async def remove(self) -> None:
        """Try each once; what stays is tried again at the next call."""
        for report in list(self._left.values()):
            try:
                await self._runtime.remove(report.uid)
            except RuntimeFailure as failed:
                log.warning("sandbox of %s/%s: %s", report.namespace, report.name, failed.message)
            else:
                del self._left[report.uid]
                self._addresses.release(report.uid)
