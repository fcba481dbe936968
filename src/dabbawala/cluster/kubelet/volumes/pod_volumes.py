"""Putting the volumes of a pod in place: host directories that its containers will see.

emptyDir with `medium: Memory` is a directory like any other.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dabbawala.api import core_v1
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import NotFound
from dabbawala.client.client import Client
from dabbawala.cluster.kubelet import downward, pod_spec
from dabbawala.cluster.kubelet.expansion import expand
from dabbawala.cluster.kubelet.pod_files import PodFiles
from dabbawala.cluster.kubelet.sources import SourceReader
from dabbawala.cluster.kubelet.tokens import Tokens
from dabbawala.cluster.kubelet.volumes import atomic, content, host_paths
from dabbawala.cluster.kubelet.volumes.content import Materials, VolumeError
from dabbawala.cluster.kubelet.volumes.host_paths import HostPaths
from dabbawala.cluster.sandbox.spec import Mount


@dataclass(frozen=True, slots=True)
class PodVolumes:
    """The volumes of a node's pods."""

    client: Client
    files: PodFiles
    sources: SourceReader
    tokens: Tokens

    @property
    def _paths(self) -> HostPaths:
        return HostPaths(self.files)

    async def prepare(self, pod: Mapping[str, Any], place: downward.Place) -> None:
        """Put every volume in place, or bring made ones up to date. Raises VolumeError or StatusError."""
        for volume in pod_spec.volumes(pod):
            if content.is_made_of_objects(volume):
                await self._make(pod, volume, place)
            elif volume.get("emptyDir") is not None or volume.get("ephemeral") is not None:
                self._empty(pod, volume)
            elif volume.get("hostPath") is not None:
                self._paths.prepare(volume["hostPath"])
            elif volume.get("persistentVolumeClaim") is not None:
                await self._claim(pod, volume)
            else:
                kinds = ", ".join(key for key in volume if key != "name")
                raise VolumeError(f'volume "{volume["name"]}" is of kind {kinds}, which this node cannot mount')

    async def refresh(self, pod: Mapping[str, Any], place: downward.Place) -> None:
        """Bring the volumes that are made of API objects up to date."""
        for volume in pod_spec.volumes(pod):
            if content.is_made_of_objects(volume):
                await self._make(pod, volume, place)

    def is_live(self, pod: Mapping[str, Any]) -> bool:
        """Whether the pod has volumes whose content changes with API objects."""
        return any(content.is_made_of_objects(volume) for volume in pod_spec.volumes(pod))

    async def _make(self, pod: Mapping[str, Any], volume: Object, place: downward.Place) -> None:
        sources = await self.sources.read(meta.namespace(pod), content.references(volume))
        tokens = await self.tokens.current(pod, content.tokens(volume))
        files = content.files(pod, volume, Materials(sources, place, tokens))
        atomic.write(self._folder(pod, volume["name"]), files)

    def _empty(self, pod: Mapping[str, Any], volume: Object) -> None:
        folder = self._folder(pod, volume["name"])
        folder.mkdir(parents=True, exist_ok=True)
        group = pod_spec.security_context(pod).get("fsGroup")
        folder.chmod(0o777 if group is None else 0o2777)
        if group is not None and folder.stat().st_gid != group:
            # Where only one id is mapped this fails, and the sandbox says so when a container asks for the group.
            with contextlib.suppress(OSError):
                os.chown(folder, -1, int(group))

    def _folder(self, pod: Mapping[str, Any], name: str) -> Path:
        return self.files.volumes(meta.uid(pod)) / name

    async def _claim(self, pod: Mapping[str, Any], volume: Object) -> Path:
        """The host path of the claim's volume; local volumes are made on first use."""
        name = volume["persistentVolumeClaim"]["claimName"]
        try:
            claim = await self.client.get(core_v1.PERSISTENT_VOLUME_CLAIM, name, meta.namespace(pod))
        except NotFound as missing:
            raise VolumeError(f'persistentvolumeclaim "{name}" not found') from missing
        bound = (claim.get("spec") or {}).get("volumeName")
        if not bound or (claim.get("status") or {}).get("phase") != "Bound":
            raise VolumeError(f'persistentvolumeclaim "{name}" is not bound to a volume yet')
        source = await self.client.get(core_v1.PERSISTENT_VOLUME, bound)
        path = self._paths.persistent(source)
        link = self._folder(pod, volume["name"])
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink() or link.readlink() != path:
            link.unlink(missing_ok=True)
            link.symlink_to(path)
        return path

    # --- what a container sees ---------------------------------------------------------------------------------

    def mounts(self, pod: Mapping[str, Any], item: Object, variables: Mapping[str, str]) -> tuple[Mount, ...]:
        """The mounts of one container, outer paths first. Raises VolumeError."""
        every = {volume["name"]: volume for volume in pod_spec.volumes(pod)}
        wanted = sorted(item.get("volumeMounts") or (), key=lambda mount: str(mount["mountPath"]).rstrip("/"))
        return tuple(self._mount(pod, every[mount["name"]], mount, variables) for mount in wanted)

    def _mount(self, pod: Mapping[str, Any], volume: Object, mount: Object, variables: Mapping[str, str]) -> Mount:
        made = content.is_made_of_objects(volume)
        source = self._source(pod, volume)
        inner = mount.get("subPath") or expand(mount.get("subPathExpr") or "", variables)
        if inner:
            host_paths.look_below(source, inner, create=not made)
        # A volume that says so is read-only in every container, whatever the mount asks for.
        never = any(isinstance(kind, Mapping) and kind.get("readOnly") for kind in volume.values())
        read_only = made or never or bool(mount.get("readOnly"))
        return Mount(str(source), mount["mountPath"], read_only, sub_path=inner)

    def _source(self, pod: Mapping[str, Any], volume: Object) -> Path:
        """The host path of a volume, without links: opened as it is, it can be nothing else."""
        if volume.get("hostPath") is not None:
            return self._paths.allowed(volume["hostPath"])
        folder = self._folder(pod, volume["name"])
        if volume.get("persistentVolumeClaim") is not None:
            return self._paths.still(folder.readlink())
        return host_paths.resolved(folder)
