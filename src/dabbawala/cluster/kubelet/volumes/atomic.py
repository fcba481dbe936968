"""Writing a set of files so that a reader sees all of the old set or all of the new one.

The files live in a folder of their own, `..data` points at it, and each name in the volume points through `..data`.
An update makes a new folder and renames a new link over `..data`; programs that watch for that rename work as they do
on Kubernetes.
Source: pkg/volume/util/atomic_writer.go.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path, PurePosixPath

from dabbawala.cluster.kubelet.volumes.content import File, Files, VolumeError

_DATA = "..data"


def write(folder: Path, files: Files) -> bool:
    """Make the folder hold exactly these files. False when the set in force was this one already."""
    _check(files)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # whatever the umask: containers read it as users of their own
    current = folder / _DATA
    if current.is_dir() and _same(current, files):
        _link_names(folder, files)  # which may have failed after the set was put in force
        return False
    fresh = Path(tempfile.mkdtemp(prefix="..", dir=folder))
    try:
        for path, file in files.items():
            _write_file(fresh / path, file)
        for made in (fresh, *(path for path in fresh.rglob("*") if path.is_dir())):
            made.chmod(0o755)
        link = folder / "..data_tmp"
        with contextlib.suppress(FileNotFoundError):
            link.unlink()
        link.symlink_to(fresh.name)
        link.replace(current)
    finally:
        _forget_old(folder, current)
    _link_names(folder, files)
    return True


def _forget_old(folder: Path, current: Path) -> None:
    """Remove every set but the one in force: the one before, and what a full disk or a crash left half written."""
    kept = os.readlink(current) if current.is_symlink() else ""
    for entry in folder.glob("..*"):
        if entry.name != kept and entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)


def _check(files: Files) -> None:
    for path in files:
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts or not parts.parts or path.startswith(".."):
            raise VolumeError(f"a file of a volume must be at a relative path without '..', not {path!r}")


def _same(current: Path, files: Files) -> bool:
    present = {str(path.relative_to(current)) for path in current.rglob("*") if path.is_file()}
    if present != set(files):
        return False
    return all(_matches(current / path, file) for path, file in files.items())


def _matches(path: Path, file: File) -> bool:
    try:
        return path.read_bytes() == file.data and path.stat().st_mode & 0o777 == file.mode & 0o777
    except OSError:
        return False


def _write_file(path: Path, file: File) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.data)
    with contextlib.suppress(OSError):  # where only one id is mapped, all files are of whoever the container runs as
        os.chown(path, file.owner, file.group)
    path.chmod(file.mode & 0o777)


def _link_names(folder: Path, files: Files) -> None:
    """One visible link for each first path component; links of files that are gone are removed."""
    wanted = {PurePosixPath(path).parts[0] for path in files}
    for name in wanted:
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(f"{_DATA}/{name}")
    for entry in folder.iterdir():
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in wanted:
            entry.unlink()
