"""COPY and ADD: files of the build context, placed in an image as Docker places them.

A source is a path or a pattern inside the context, never outside it; what `.dockerignore` names is not there.
"""

from __future__ import annotations

import fnmatch
import lzma
import os
import shutil
import tarfile
import tempfile
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_UNREADABLE = (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError)
"""What tarfile lets through of a damaged archive."""
_CHUNK = 1 << 16


class CopyError(Exception):
    """A source that is not in the context, or may not be copied, or a destination that is not in the image."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to copy: `path` on disk, inside the image's `root`; `into` says that it is a folder."""

    root: Path
    path: Path
    into: bool

    def check(self, folder: Path) -> None:
        """Raises CopyError when a link on the way to the folder, made by an earlier COPY, leads out of the image."""
        if not folder.resolve().is_relative_to(self.root.resolve()):
            raise CopyError(f"/{folder.relative_to(self.root)} leads out of the image through a link")


@dataclass(slots=True)
class Context:
    folder: Path
    ignored: list[tuple[str, bool]] = field(init=False)

    def __post_init__(self) -> None:
        self.ignored = _patterns(self.folder / ".dockerignore")

    def ignores(self, path: Path) -> bool:
        """The last pattern that matches the path, or a folder above it, decides."""
        relative = path.relative_to(self.folder).as_posix()
        parts = relative.split("/")
        heads = ["/".join(parts[: index + 1]) for index in range(len(parts))]
        verdict = False
        for pattern, keep in self.ignored:
            if any(fnmatch.fnmatch(head, pattern) for head in heads):
                verdict = not keep
        return verdict

    def find(self, source: str) -> list[Path]:
        """Raises CopyError when nothing matches."""
        pattern = source.lstrip("/") or "."
        if ".." in PurePosixPath(pattern).parts:
            raise CopyError(f"{source} leaves the build context")
        matched = [self.folder] if pattern in (".", "./") else sorted(self.folder.glob(pattern.rstrip("/")))
        found = [path for path in matched if path == self.folder or not self.ignores(path)]
        if not found:
            raise CopyError(f"{source} is not in {self.folder}")
        return found


def _patterns(file: Path) -> list[tuple[str, bool]]:
    """(pattern, keep) in order; `!pattern` brings back what an earlier one left out."""
    if not file.is_file():
        return []
    lines = [line.strip() for line in file.read_text().splitlines()]
    kept = [line for line in lines if line and not line.startswith("#")]
    return [(line.lstrip("!").strip("/").removeprefix("**/"), line.startswith("!")) for line in kept]


def place(context: Context, source: str, destination: Destination, *, unpack: bool, mode: int | None) -> None:
    """Copy what `source` matches. Raises CopyError."""
    found, target = context.find(source), destination.path
    for path in found:
        if path.is_dir():
            _tree(context, path, destination, mode)
        elif unpack and path.name.endswith(ARCHIVES):
            _unpack(path, destination)
        else:
            folder = destination.into or len(found) > 1 or target.is_dir()
            _file(path, replace(destination, path=target / path.name if folder else target), mode)


def _tree(context: Context, source: Path, destination: Destination, mode: int | None) -> None:
    """The content of a folder, not the folder itself."""
    destination.check(destination.path)
    destination.path.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        if context.ignores(path):
            continue
        below = replace(destination, path=destination.path / path.name)
        if path.is_dir() and not path.is_symlink():
            _tree(context, path, below, mode)
        else:
            _file(path, below, mode)


def _file(source: Path, destination: Destination, mode: int | None) -> None:
    target = destination.path
    destination.check(target.parent)
    target.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(target):
        target.unlink()
    shutil.copy2(source, target, follow_symlinks=False)
    if mode is not None and not target.is_symlink():
        target.chmod(mode)


def _unpack(archive: Path, destination: Destination) -> None:
    """Aside first, and then each file by its own rename: what is in the image already may share its content with the
    image that this one was made from."""
    with tempfile.TemporaryDirectory(dir=destination.root.parent) as aside:
        try:
            with tarfile.open(archive) as content:
                for member in content:
                    _extract(content, member, Path(aside))
                while content.fileobj is not None and content.fileobj.read(_CHUNK):
                    pass  # the checksum of a compressed archive stands behind what tarfile reads of it
            _move(Path(aside), destination)
        except _UNREADABLE as error:
            raise CopyError(f"{archive.name} cannot be unpacked: {error}") from error


def _extract(content: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """One member, as whoever builds: no owners, no set-user bits, nothing outside the folder, by links neither. tarfile
    itself does so only from Python 3.11.4 on. A hard link becomes a copy of what was unpacked before it."""
    path = _inside(folder, member.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(path) and not (member.isdir() and path.is_dir()):
        path.unlink()
    if member.isdir():
        path.mkdir(exist_ok=True)
    elif member.issym():
        path.symlink_to(member.linkname)
    elif member.islnk():
        linked = _inside(folder, member.linkname)
        if not os.path.lexists(linked):
            raise CopyError(f"{member.name} is a link to {member.linkname}, which does not come before it")
        shutil.copy2(linked, path, follow_symlinks=False)
    elif (source := content.extractfile(member)) is not None:
        with source, path.open("xb") as file:
            shutil.copyfileobj(source, file)
        path.chmod(member.mode & 0o777 | 0o600)
        os.utime(path, (member.mtime, member.mtime))
    else:
        raise CopyError(f"{member.name} is neither a file nor a folder nor a link")


def _inside(folder: Path, name: str) -> Path:
    """The place of a member. `Path.resolve` would raise where links lead in a circle."""
    path = folder / name.lstrip("/")
    if ".." in path.parts or not Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(folder)):
        raise CopyError(f"{name} leads out of the archive")
    return path


def _move(source: Path, destination: Destination) -> None:
    """The content of a folder; as with COPY, folders that are there already are joined."""
    destination.check(destination.path)
    destination.path.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        below = replace(destination, path=destination.path / path.name)
        if path.is_dir() and not path.is_symlink():
            _move(path, below)
        else:
            path.replace(below.path)
