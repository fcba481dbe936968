"""A holder on paper: keeps the sandbox's rules about uids and addresses, and loses answers when it is told to."""

from __future__ import annotations

import time
from dataclasses import replace

from dabbawala.cluster.sandbox import records, spec
from dabbawala.cluster.sandbox.client import HolderClient, HolderGone, SandboxError


class PaperHolder(HolderClient):
    """`lost` holds the operations whose next answer is lost after they were done; `dying` counts the sandboxes that die
    while they are made; `stuck` are uids that cannot be removed."""

    def __init__(self) -> None:
        super().__init__("/nowhere")
        self.pods: dict[str, spec.PodStatus] = {}
        self._folders: dict[str, str] = {}
        self.lost: list[str] = []
        self.dying = 0
        self.stuck: set[str] = set()

    def add(self, uid: str, address: str, *, alive: bool = True) -> None:
        self.pods[uid] = spec.PodStatus(uid, "default", uid, "node-1", address, alive)

    def _answer(self, operation: str) -> None:
        if operation in self.lost:
            self.lost.remove(operation)
            raise TimeoutError

    async def create_pod(self, pod: spec.PodSpec) -> None:
        if pod.uid in self.pods:
            raise SandboxError("AlreadyExists", f"pod {pod.uid} already has a sandbox")
        if any(other.alive and other.address == pod.address for other in self.pods.values()):
            raise SandboxError("AddressInUse", f"{pod.address} is the address of another pod")
        self._folders[pod.uid] = pod.state_dir
        self.add(pod.uid, pod.address, alive=not self.dying)
        if self.dying:
            self.dying -= 1
            raise HolderGone("the shim ended without an answer")
        self._answer("create")

    async def list_pods(self) -> list[spec.PodStatus]:
        return list(self.pods.values())

    async def pod_status(self, uid: str) -> spec.PodStatus:
        self._answer("status")
        if uid not in self.pods or not self.pods[uid].alive:
            raise HolderGone(f"nothing answers for {uid}")
        return self.pods[uid]

    async def remove_pod(self, uid: str) -> None:
        if uid in self.stuck:
            raise SandboxError("Stuck", f"the sandbox of {uid} does not end")
        self.pods.pop(uid, None)

    async def start_container(self, uid: str, container: spec.ContainerSpec) -> int:
        run = spec.ContainerStatus(container.name, container.attempt, "running", pid=1, started_at=time.time())
        self.pods[uid] = replace(self.pods[uid], containers=(run,))
        return 1

    async def signal_container(self, uid: str, container: str, signum: int) -> None:
        """It ends whatever the signal, and that is put on record, as a shim does."""
        pod = self.pods[uid]
        ended = [replace(run, state="exited", pid=0, finished_at=time.time()) for run in pod.containers]
        self.pods[uid] = replace(pod, containers=tuple(ended))
        for run in ended:
            records.note(f"{self._folders[uid]}/{run.name}-{run.attempt}.json", spec.to_json(run))
