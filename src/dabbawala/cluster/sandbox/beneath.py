"""Opening and making what a path names, one component at a time, so that nobody who changes links meanwhile can matter.

A volume's content belongs to its pods: a running one may put a link, at any moment, where there was a directory. What
is checked as a path and used as a path later can therefore be two things. Here every step is taken from a descriptor of
the directory before it and never through a link; links are read and followed by the rule that the caller asks for, and
`..` goes back to the descriptor that the step came from. The result is a descriptor, and stays what it was.

It is what openat2 does with RESOLVE_BENEATH and RESOLVE_NO_MAGICLINKS, also where system call filters do not know that
call, and it can make what is missing on the way. Source: CVE-2017-1002101, CVE-2021-25741, CVE-2021-30465;
pkg/volume/util/subpath doSafeOpen, doSafeMakeDir.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import os
import stat
from dataclasses import dataclass

_MAX_LINKS = 64
_MAX_DEPTH = 256
_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Links(enum.Enum):
    """What a link on the way may do."""

    NONE = "none"  # nothing: there must be none
    BENEATH = "beneath"  # lead to what is below the root by a relative path
    ROOTED = "rooted"  # lead anywhere, where the root is all there is, as after chroot


@dataclass(frozen=True, slots=True)
class Make:
    """What to make when it is missing: directories of a mode, whatever the umask; at the end an empty file instead."""

    mode: int = 0o755
    file: bool = False


def open_exact(path: str) -> int:
    """A descriptor (O_PATH) of an absolute path without links. OSError when there is one, or nothing there."""
    root = os.open("/", _STEP)
    try:
        return open_below(root, path, Links.NONE)
    finally:
        os.close(root)


def open_in(folder: str, path: str, links: Links = Links.BENEATH, make: Make | None = None) -> int:
    """The same for a path below a folder that is itself exact."""
    root = open_exact(folder)
    try:
        return open_below(root, path, links, make)
    finally:
        os.close(root)


def open_below(root: int, path: str, links: Links, make: Make | None = None) -> int:
    """The same below an open directory. OSError: EXDEV when the path leads out, ELOOP when a link may not be."""
    way = [os.dup(root)]
    try:
        _walk(way, path, links, make)
        return way.pop()
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        for fd in way:
            os.close(fd)


def _walk(way: list[int], path: str, links: Links, make: Make | None) -> None:
    rest, followed = _parts(path), 0
    while rest:
        part = rest.pop()
        if part == "..":
            _go_back(way, links)
            continue
        here = _step(way[-1], part, make, last=not rest)
        if not stat.S_ISLNK(os.fstat(here).st_mode):
            way.append(here)
        else:
            followed += 1
            rest += _follow(here, way, links)
        if followed > _MAX_LINKS or len(way) > _MAX_DEPTH:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def reached(fd: int) -> str:
    """A path that leads to what the descriptor is open on and to nothing else, for calls that take no descriptor."""
    return f"/proc/self/fd/{fd}"


def _parts(path: str) -> list[str]:
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _go_back(way: list[int], links: Links) -> None:
    if len(way) > 1:
        os.close(way.pop())
    elif links is not Links.ROOTED:
        raise OSError(errno.EXDEV, "it leads out")


def _follow(link: int, way: list[int], links: Links) -> list[str]:
    """The parts to go on with instead of the link."""
    try:
        if links is Links.NONE:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = os.readlink("", dir_fd=link)
    finally:
        os.close(link)
    if target.startswith("/"):
        if links is Links.BENEATH:
            raise OSError(errno.EXDEV, "it leads out")
        while len(way) > 1:
            os.close(way.pop())
    return _parts(target)


def _step(parent: int, name: str, make: Make | None, *, last: bool) -> int:
    try:
        return os.open(name, _STEP, dir_fd=parent)
    except FileNotFoundError:
        if make is None:
            raise
    if last and make.file:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(FileExistsError):
            made = os.open(name, flags, 0o600, dir_fd=parent)
            os.fchmod(made, 0o644)
            os.close(made)
        return os.open(name, _STEP, dir_fd=parent)
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return os.open(name, _STEP, dir_fd=parent)
    made = os.open(name, _STEP, dir_fd=parent)
    if stat.S_ISDIR(os.fstat(made).st_mode):
        os.chmod(reached(made), make.mode)
    return made
