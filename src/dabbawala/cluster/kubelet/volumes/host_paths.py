"""Which places of the host a volume may be, and opening them as what they were found to be.

The policy for host paths: any path that the user who runs the cluster can read may be shown, except the cluster's own
state and sockets and what contains them. Where a path leads may change at any time, so it is asked anew for each
container, and the answer is a path without links that is opened without following any.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.kubelet.pod_files import PodFiles
from dabbawala.cluster.kubelet.volumes.content import VolumeError
from dabbawala.cluster.sandbox import beneath
from dabbawala.cluster.sandbox.beneath import Links, Make

LOCAL_PROVISIONER = "dabbawala.dev/local"
_SHOWS_STATE = "the path {} of the volume shows the cluster's own state to the pod"
_TYPE_CHECKS = {"File": stat.S_ISREG, "Directory": stat.S_ISDIR, "Socket": stat.S_ISSOCK,
                "CharDevice": stat.S_ISCHR, "BlockDevice": stat.S_ISBLK}  # fmt: skip


@dataclass(frozen=True, slots=True)
class HostPaths:
    """hostPath volumes and persistent volumes on a node. Methods raise VolumeError."""

    files: PodFiles

    def prepare(self, source: Object) -> Path:
        path = self.allowed(source)
        kind = source.get("type") or ""
        with _told(f"hostPath {path}"):
            if kind == "DirectoryOrCreate":
                os.close(beneath.open_in("/", str(path), Links.NONE, Make(0o755)))
            elif kind == "FileOrCreate":
                os.close(beneath.open_in(str(path.parent), path.name, Links.NONE, Make(file=True)))
        _check_type(path, kind.removesuffix("OrCreate"))
        return path

    def allowed(self, source: Object) -> Path:
        """Where a host path leads now; what is mounted is that and no link that takes its place later."""
        path = resolved(Path(source["path"]))
        if self.files.is_protected(path):
            raise VolumeError(f"hostPath {path} is refused: it shows the cluster's own state to the pod")
        return path

    def still(self, path: Path) -> Path:
        """What `persistent` has answered, as long as it may be shown."""
        if not self._is_at_home(path) and self.files.is_protected(path):
            raise VolumeError(_SHOWS_STATE.format(path))
        return path

    def persistent(self, volume: Object) -> Path:
        """Where a persistent volume is; one of ours is made on first use."""
        spec = volume.get("spec") or {}
        text = (spec.get("local") or spec.get("hostPath") or {}).get("path")
        if not text:
            raise VolumeError(f'persistentvolume "{meta.name(volume)}" is of a kind this node cannot mount')
        path = resolved(Path(text))
        if self._is_local(volume, path):
            self._make_local(path)
            return path
        if self.files.is_protected(path):
            raise VolumeError(_SHOWS_STATE.format(path))
        _check_type(path, (spec.get("hostPath") or {}).get("type", "").removesuffix("OrCreate"))
        return path

    def _is_local(self, volume: Object, path: Path) -> bool:
        """Provisioned by us, and really where our volumes are."""
        provisioner = meta.annotations(volume).get("pv.kubernetes.io/provisioned-by")
        return provisioner == LOCAL_PROVISIONER and self._is_at_home(path)

    def _is_at_home(self, path: Path) -> bool:
        return self.files.local_volumes is not None and self.files.local_volumes.resolve() in path.parents

    def _make_local(self, path: Path) -> None:
        if self.files.local_volumes is None:
            return
        home = self.files.local_volumes.resolve()
        with _told(f"the path {path} of the volume"):
            home.mkdir(parents=True, exist_ok=True)
            made = beneath.open_in(str(home), str(path.relative_to(home)), Links.NONE, Make(0o777))
            try:
                os.chmod(beneath.reached(made), 0o777)
            finally:
                os.close(made)


def look_below(source: Path, inner: str, *, create: bool) -> None:
    """That a path inside a volume is there, made if need be with the mode of the volume. Its links must not lead out:
    here and, because they may be others by then, again where it is mounted."""
    if PurePosixPath(inner).is_absolute() or ".." in PurePosixPath(inner).parts:
        raise VolumeError(f"subPath {inner!r} must be relative and must not contain '..'")
    try:
        make = Make(source.stat().st_mode & 0o2777) if create else None
        os.close(beneath.open_in(str(source), inner, make=make))
    except FileNotFoundError as missing:
        raise VolumeError(f"subPath {inner!r} does not exist in its volume") from missing
    except OSError as bad:
        if bad.errno in (errno.EXDEV, errno.ELOOP):
            raise VolumeError(f"subPath {inner!r} leads out of its volume") from bad
        raise VolumeError(f"subPath {inner!r}: {bad.strerror}") from bad


def resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except RuntimeError as endless:  # what pathlib says of links in a circle
        raise VolumeError(f"{path} has too many symbolic links") from endless


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as failed:
        raise VolumeError(f"{what} cannot be made: {failed.strerror}") from failed


def _check_type(path: Path, kind: str) -> None:
    try:
        shown = beneath.open_exact(str(path))
        try:
            mode = os.fstat(shown).st_mode
        finally:
            os.close(shown)
    except OSError as missing:
        raise VolumeError(f"hostPath type check failed: {path} is not there or not readable") from missing
    check = _TYPE_CHECKS.get(kind)
    if check is not None and not check(mode):
        raise VolumeError(f"hostPath type check failed: {path} is not a {kind.lower()}")
