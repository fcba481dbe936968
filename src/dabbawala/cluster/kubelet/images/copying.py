"""COPY and ADD: files of the build context, placed in an image as Docker places them.

A source is a path or a pattern inside the context, never outside it; what `.dockerignore` names is not there.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
import tarfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


class CopyError(Exception):
    """A source that is not in the context, or may not be copied."""


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


def place(context: Context, source: str, target: Path, *, into: bool, unpack: bool, mode: int | None) -> None:
    """Copy what `source` matches to `target`; `into` says that the target is a folder. Raises CopyError."""
    found = context.find(source)
    for path in found:
        if path.is_dir():
            _tree(context, path, target, mode)
        elif unpack and path.name.endswith(ARCHIVES):
            _unpack(path, target)
        else:
            folder = into or len(found) > 1 or target.is_dir()
            _file(path, target / path.name if folder else target, mode)


def _tree(context: Context, source: Path, target: Path, mode: int | None) -> None:
    """The content of a folder, not the folder itself."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        if context.ignores(path):
            continue
        if path.is_dir() and not path.is_symlink():
            _tree(context, path, target / path.name, mode)
        else:
            _file(path, target / path.name, mode)


def _file(source: Path, target: Path, mode: int | None) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(target):
        target.unlink()
    shutil.copy2(source, target, follow_symlinks=False)
    if mode is not None and not target.is_symlink():
        target.chmod(mode)


def _unpack(archive: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as content:
            content.extractall(target, filter="data")
    except (tarfile.TarError, OSError) as error:
        raise CopyError(f"{archive.name} cannot be unpacked: {error}") from error
