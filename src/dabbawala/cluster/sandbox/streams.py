"""A container's standard streams on the shim's side: into the log, out to followers, and the way to its input."""

from __future__ import annotations

import fcntl
import os

from dabbawala.cluster.sandbox import logs, loop

_READ_BYTES = 65536
_MAX_FOLLOWERS = 64
_LAST_READS = 1024  # bounds what is taken from streams that others keep open after the container has ended


class Streams:
    """Pipes, or a terminal, of one run. The program ends them; nobody who merely follows can hold it up."""

    def __init__(self, events: loop.Loop, log_path: str) -> None:
        self._loop = events
        self._log = logs.LogFile(log_path)
        self._sources: dict[int, bytes] = {}
        self._followers: list[tuple[bytes, int]] = []
        self.stdin = -1

    def open_pipes(self, *, stdin: bool) -> tuple[int, int, int]:
        """The program's ends; -1 for no input."""
        inward = -1
        if stdin:
            inward, self.stdin = os.pipe2(os.O_CLOEXEC)
        out, out_writer = os.pipe2(os.O_CLOEXEC)
        err, err_writer = os.pipe2(os.O_CLOEXEC)
        self._read_from(out, b"stdout")
        self._read_from(err, b"stderr")
        return inward, out_writer, err_writer

    def use_terminal(self, master: int) -> None:
        self.stdin = fcntl.fcntl(master, fcntl.F_DUPFD_CLOEXEC, 3)
        self._read_from(master, b"stdout")

    def follow(self, stream: bytes, fd: int) -> None:
        """Write there too what is written from now on; of too many, those that came first have to go."""
        os.set_blocking(fd, False)
        self._followers.append((stream, fd))
        for _, old in self._followers[:-_MAX_FOLLOWERS]:
            os.close(old)
        del self._followers[:-_MAX_FOLLOWERS]

    def close_stdin(self) -> None:
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    def close(self) -> None:
        """Take what the ended program has left in its pipes, then let go of everything."""
        for fd in list(self._sources):
            for _ in range(_LAST_READS):
                if not self._take(fd):
                    break
            if fd in self._sources:
                self._end(fd)
        self._log.close()
        for _, fd in self._followers:
            os.close(fd)
        self._followers = []
        self.close_stdin()

    def _read_from(self, fd: int, stream: bytes) -> None:
        os.set_blocking(fd, False)
        self._sources[fd] = stream
        self._loop.watch(fd, lambda: self._ready(fd))

    def _ready(self, fd: int) -> None:
        self._take(fd)

    def _take(self, fd: int) -> bool:
        """Move one read's worth; False when there is nothing now, or never again."""
        try:
            data = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:  # a terminal whose last user has gone says EIO
            data = b""
        if not data:
            self._end(fd)
            return False
        self._log.write(self._sources[fd], data)
        self._pass_on(self._sources[fd], data)
        return True

    def _end(self, fd: int) -> None:
        self._loop.forget(fd)
        self._log.end(self._sources.pop(fd))
        os.close(fd)

    def _pass_on(self, stream: bytes, data: bytes) -> None:
        for follower in list(self._followers):
            wanted, fd = follower
            if wanted != stream:
                continue
            try:
                complete = os.write(fd, data) == len(data)
            except OSError:
                complete = False
            if not complete:  # gone, or so slow that its pipe is full: it must not hold up the program
                os.close(fd)
                self._followers.remove(follower)
