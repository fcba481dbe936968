"""Putting the volumes of a pod in place: host directories that its containers will see.

The policy for host paths: any path that the user who runs the cluster can read may be mounted, except the cluster's
own state and sockets and what contains them. emptyDir with `medium: Memory` is a directory like any other.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
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
from dabbawala.cluster.kubelet.volumes import atomic, content
from dabbawala.cluster.kubelet.volumes.content import Materials, VolumeError
from dabbawala.cluster.sandbox.spec import Mount

LOCAL_PROVISIONER = "dabbawala.dev/local"
_TYPE_CHECKS = {"File": stat.S_ISREG, "Directory": stat.S_ISDIR, "Socket": stat.S_ISSOCK,
                "CharDevice": stat.S_ISCHR, "BlockDevice": stat.S_ISBLK}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PodVolumes:
    """The volumes of a node's pods."""

    client: Client
    files: PodFiles
    sources: SourceReader
    tokens: Tokens

    async def prepare(self, pod: Mapping[str, Any], place: downward.Place) -> None:
        """Put every volume in place, or bring made ones up to date. Raises VolumeError or StatusError."""
        for volume in pod_spec.volumes(pod):
            if content.is_made_of_objects(volume):
                await self._make(pod, volume, place)
            elif volume.get("emptyDir") is not None or volume.get("ephemeral") is not None:
                self._empty(pod, volume)
            elif volume.get("hostPath") is not None:
                self._host_path(volume["hostPath"])
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

    def _host_path(self, source: Object) -> Path:
        path = Path(source["path"])
        if self.files.is_protected(path):
            raise VolumeError(f"hostPath {path} is refused: it shows the cluster's own state to the pod")
        kind = source.get("type") or ""
        if kind == "DirectoryOrCreate":
            path.mkdir(parents=True, exist_ok=True)
        elif kind == "FileOrCreate":
            path.touch(exist_ok=True)
        _check_type(path, kind.removesuffix("OrCreate"))
        return path

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
        path = self._volume_path(source)
        link = self._folder(pod, volume["name"])
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(path)
        return path

    def _volume_path(self, volume: Object) -> Path:
        spec = volume.get("spec") or {}
        text = (spec.get("local") or spec.get("hostPath") or {}).get("path")
        if not text:
            raise VolumeError(f'persistentvolume "{meta.name(volume)}" is of a kind this node cannot mount')
        path = Path(text)
        if self._is_local(volume, path):
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o777)
            return path
        if self.files.is_protected(path):
            raise VolumeError(f"the path {path} of the volume shows the cluster's own state to the pod")
        _check_type(path, (spec.get("hostPath") or {}).get("type", "").removesuffix("OrCreate"))
        return path

    def _is_local(self, volume: Object, path: Path) -> bool:
        """Provisioned by us, and really where our volumes are."""
        provisioner = meta.annotations(volume).get("pv.kubernetes.io/provisioned-by")
        home = self.files.local_volumes
        return provisioner == LOCAL_PROVISIONER and home is not None and path.resolve().is_relative_to(home.resolve())

    # --- what a container sees ---------------------------------------------------------------------------------

    def mounts(self, pod: Mapping[str, Any], item: Object, variables: Mapping[str, str]) -> tuple[Mount, ...]:
        """The mounts of one container, outer paths first. Raises VolumeError."""
        every = {volume["name"]: volume for volume in pod_spec.volumes(pod)}
        wanted = sorted(item.get("volumeMounts") or (), key=lambda mount: str(mount["mountPath"]).rstrip("/"))
        return tuple(self._mount(pod, every[mount["name"]], mount, variables) for mount in wanted)

    def _mount(self, pod: Mapping[str, Any], volume: Object, mount: Object, variables: Mapping[str, str]) -> Mount:
        made = content.is_made_of_objects(volume)
        if volume.get("hostPath") is not None:
            source = Path(volume["hostPath"]["path"])
        else:
            source = self._folder(pod, volume["name"]).resolve()
        inner = mount.get("subPath") or expand(mount.get("subPathExpr") or "", variables)
        if inner:
            source = _below(source, inner, create=not made)
        return Mount(str(source), mount["mountPath"], made or bool(mount.get("readOnly")))


def _below(source: Path, inner: str, *, create: bool) -> Path:
    """A path inside a volume. Links are followed, and must not lead out."""
    if PurePosixPath(inner).is_absolute() or ".." in PurePosixPath(inner).parts:
        raise VolumeError(f"subPath {inner!r} must be relative and must not contain '..'")
    path = source / inner
    if not path.exists() and create:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o777)
    real = path.resolve()
    if not real.is_relative_to(source.resolve()):
        raise VolumeError(f"subPath {inner!r} leads out of its volume")
    if not real.exists():
        raise VolumeError(f"subPath {inner!r} does not exist in its volume")
    return real


def _check_type(path: Path, kind: str) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as missing:
        raise VolumeError(f"hostPath type check failed: {path} is not there or not readable") from missing
    check = _TYPE_CHECKS.get(kind)
    if check is not None and not check(mode):
        raise VolumeError(f"hostPath type check failed: {path} is not a {kind.lower()}")
