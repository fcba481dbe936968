"""From an ordinary command to a holder that nobody's end can end, and the janitor that cleans up after it.

    control plane -> launcher (leaves at once) -> janitor (host namespaces) -> opener (new namespaces, leaves) -> holder

The janitor writes the id maps (which the kernel wants done from outside), records the holder, waits for it and then
removes what no kernel removes: sockets, records and control groups. It is a subreaper, so the holder becomes its child.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import struct
from collections.abc import Callable

from dabbawala.cluster.sandbox import holder, idmap, kernel, limits, loop, records

_NAMESPACES = (
    kernel.CLONE_NEWUSER | kernel.CLONE_NEWPID | kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
)
_LEFTOVERS = ("holder.sock", "holder.json", "cgroups.json")
_DOOR_SECONDS = 2.0
_RECORDED = (("pid", ""), ("janitor", "janitor_"))
_LEFTOVER_DIRECTORIES = ("pods", "processes", "view", "scratch")


def main(run_dir: str, ready_descriptor: str) -> None:
    """Entry of the process that the client starts. The descriptor gets `ok`, or the reason why not, then its end."""
    ready = int(ready_descriptor)
    os.umask(0o077)
    os.setsid()
    if os.fork():
        os._exit(0)
    kernel.set_process_name("dabba-janitor")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        _keep(run_dir, ready)
    except BaseException as error:  # the client prints it
        with contextlib.suppress(OSError):
            os.write(ready, f"{type(error).__name__}: {error}\n".encode())
        os._exit(1)
    os._exit(0)


def _keep(run_dir: str, ready: int) -> None:
    lock = os.open(f"{run_dir}/holder.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RuntimeError(f"another holder already runs in {run_dir}") from None
    if recorded(run_dir)[0]:
        raise RuntimeError(f"a holder still runs in {run_dir}, though its janitor has gone; end the cluster first")
    clean(run_dir)
    _redirect(f"{run_dir}/holder.log")
    kernel.become_subreaper()
    pid = _open_namespaces(run_dir, ready)
    os.close(ready)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
    clean(run_dir)


def _redirect(path: str) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    for target, fd in ((0, null), (1, log), (2, log)):
        os.dup2(fd, target)
    os.close(log)
    os.close(null)


def _open_namespaces(run_dir: str, ready: int) -> int:
    """Fork the opener, map its ids, learn the holder's pid from it, record that, and wait until the holder serves."""
    asked, ask = os.pipe2(os.O_CLOEXEC)
    allowed, allow = os.pipe2(os.O_CLOEXEC)
    serving, served = os.pipe2(os.O_CLOEXEC)
    maps = idmap.cluster_maps(os.getuid(), os.getgid())
    opener = loop.fork(_opener(run_dir, ask, allowed, served), (ask, allowed, served))
    for fd in (ask, allowed, served):
        os.close(fd)
    if os.read(asked, 1) != b"u":
        raise RuntimeError(f"no new user namespace: see {run_dir}/holder.log")
    idmap.write_maps(opener, *maps)
    os.write(allow, b"y")
    pid = int(os.read(asked, 32) or b"0")
    os.waitpid(opener, 0)
    janitor = os.getpid()
    record = {"pid": pid, "start_time": start_time(pid), "janitor": janitor, "janitor_start_time": start_time(janitor)}
    records.write(f"{run_dir}/holder.json", record)
    said = os.read(serving, 16)
    for fd in (asked, allow, serving):
        os.close(fd)
    if said != b"ok\n":
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        raise RuntimeError(f"the holder did not come up: see {run_dir}/holder.log")
    os.write(ready, b"ok\n")
    return pid


def _opener(run_dir: str, ask: int, allowed: int, served: int) -> Callable[[], int]:
    def work() -> int:
        kernel.unshare(_NAMESPACES)
        os.write(ask, b"u")
        if os.read(allowed, 1) != b"y":
            return 1

        def hold() -> int:
            holder.main(run_dir, served)
            return 0

        os.write(ask, str(loop.fork(hold, (served,))).encode())
        return 0

    return work


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since boot: an identity together with its pid. 0 when it is gone."""
    try:
        fields = _stat_fields(pid)
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])


def _stat_fields(pid: int) -> list[str]:
    """/proc/PID/stat from the state on."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()


def clean(run_dir: str) -> None:
    """Remove what a holder leaves in the file system. Harmless when there is nothing."""
    with contextlib.suppress(OSError, ValueError):
        with open(f"{run_dir}/cgroups.json") as file:
            bases = json.load(file)
        limits.sweep([str(base) for base in bases])
    for name in _LEFTOVERS:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{run_dir}/{name}")
    for name in _LEFTOVER_DIRECTORIES:
        _remove_directory(f"{run_dir}/{name}")


def _remove_directory(path: str) -> None:
    """One level deep on purpose: nothing of a user's could ever be below."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(path):
            os.unlink(entry.path)
        os.rmdir(path)


def recorded(run_dir: str) -> tuple[int, int]:
    """The pids of the holder and of its janitor, 0 for each that does not run (any more). Where the record is lost or
    damaged, whoever answers at the door is asked."""
    try:
        with open(f"{run_dir}/holder.json") as file:
            record = json.load(file)
        pairs = [(int(record[name]), int(record[f"{prefix}start_time"])) for name, prefix in _RECORDED]
    except (OSError, ValueError, KeyError, TypeError):
        return _at_the_door(run_dir)
    holding, tending = (pid if start_time(pid) == started else 0 for pid, started in pairs)
    return holding, tending


def _at_the_door(run_dir: str) -> tuple[int, int]:
    """The kernel knows who listens there, and who its parent is."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as trial:
        trial.settimeout(_DOOR_SECONDS)
        try:
            trial.connect(f"{run_dir}/holder.sock")
        except OSError:
            return 0, 0
        pid, uid, _ = struct.unpack("=iII", trial.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if not pid or uid != os.getuid():
        return 0, 0
    parent = int(_stat_fields(pid)[1])
    return pid, parent if _command(parent) == "dabba-janitor" else 0


def _command(pid: int) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as file:
        return file.read().strip()
    return ""
