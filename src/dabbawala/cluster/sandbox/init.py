"""Inside a container: the process that builds its world, starts the program and stays as its init.

The init is pid 1 of the container's pid namespace (or a subreaper in the pod's shared one). The program is its child,
because the kernel withholds from a pid 1 every signal that it has no handler for, so a program as pid 1 would ignore
SIGTERM and use up its whole grace period. The init forwards signals, reaps orphans and reports how it ended.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import signal
import socket
import struct
import termios
from dataclasses import dataclass

from dabbawala.cluster.sandbox import kernel, limits, spec, view, wire

# The capabilities container engines leave to a container: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID,
# SETPCAP, NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP. All only over the container's own.
_KEPT_CAPABILITIES = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FAULTS = frozenset((signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGABRT))
_NOT_FORWARDED = _FAULTS | {signal.SIGCHLD, signal.SIGKILL, signal.SIGSTOP}
CANNOT_START = 128


@dataclass(frozen=True, slots=True)
class Start:
    """All that a container's init needs, decided by the shim before the fork."""

    pod: spec.PodSpec
    container: spec.ContainerSpec
    place: view.Place
    cgroups: tuple[str, ...]
    one_id: bool
    channel: socket.socket
    stdio: tuple[int, int, int]

    def descriptors(self) -> tuple[int, ...]:
        return (self.channel.fileno(), *(fd for fd in self.stdio if fd >= 0))


def run(start: Start) -> int:
    """The life of the init; whatever prevents the program from starting is reported, never only logged."""
    try:
        main = _start(start)
    except Exception as error:
        wire.send(start.channel, wire.failure(error))
        return CANNOT_START
    for fd in (0, 1, 2, *start.stdio):
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)
    _forward_signals(main)
    wire.send(start.channel, {"started": True})
    code, signum = _reap_until(main)
    if start.pod.share_process_namespace:
        _end_descendants()
    wire.send(start.channel, {"exit_code": code, "signal": signum})
    return code


def _start(start: Start) -> int:
    # As the pod's status names the container: whoever looks at the machine's processes knows whose these are.
    kernel.set_process_name("dabba-init", f"{start.pod.uid}/{start.container.name}/{start.container.attempt}")
    for path in start.cgroups:
        join_cgroup(path)
    os.umask(0o022)
    kernel.unshare(kernel.CLONE_NEWNS)
    view.build(start.place, start.pod, start.container)
    kernel.unshare(kernel.CLONE_NEWUSER)
    wire.send(start.channel, {"map": True})
    if start.channel.recv(1) != b"y":
        raise wire.SandboxError("ShimGone", "the pod's shim ended while the container started")
    become(start.container.user, one_id=start.one_id)
    kernel.become_subreaper()
    kernel.forbid_inspection()
    kernel.die_with_parent(signal.SIGKILL)
    stdio, terminal = start.stdio, start.container.tty
    if terminal:
        stdio = open_terminal(start.channel)
    container = start.container
    known = {"HOSTNAME": start.pod.hostname, **environment(container.user, one_id=start.one_id, terminal=terminal)}
    return spawn(container.argv, {**known, **container.env}, container.cwd or "/", stdio, terminal)


def join_cgroup(path: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, b"0")
    finally:
        os.close(fd)


def become(user: spec.User, *, one_id: bool) -> None:
    """Take on the container's identity for good. The caller is in the container's user namespace with all rights."""
    kernel.limit_capabilities(_KEPT_CAPABILITIES)
    if not one_id:
        os.setgroups(list(user.supplemental_groups))
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    kernel.forbid_new_privileges()


def environment(user: spec.User, *, one_id: bool, terminal: bool) -> dict[str, str]:
    """What a program finds set unless its container says otherwise."""
    home = "/root" if user.uid == 0 else f"/home/u{user.uid}"
    made = {"PATH": _DEFAULT_PATH, "HOME": home}
    if terminal:
        made["TERM"] = "xterm"
    if one_id and user.uid == 0:
        # As root, tar gives what it unpacks to the owners that the archive names, and fails where these do not exist;
        # `kubectl cp` has it unpack an archive that names whoever runs kubectl.
        made["TAR_OPTIONS"] = "--no-same-owner"
    return made


def open_terminal(channel: socket.socket, columns: int = 80, rows: int = 24) -> tuple[int, int, int]:
    """A terminal of the container's own devpts; its master goes to whoever is at the other end of the channel."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    wire.send(channel, {"terminal": True}, [master])
    os.close(master)
    return slave, slave, slave


def spawn(argv: tuple[str, ...], env: dict[str, str], cwd: str, stdio: tuple[int, int, int], terminal: bool) -> int:
    """Fork and exec the program; returns when exec has succeeded, else raises what exec said."""
    verdict, told = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            execute(argv, env, cwd, stdio, terminal)
        except OSError as error:
            os.write(told, f"{error.errno}".encode())
        finally:
            os._exit(127)
    os.close(told)
    said = os.read(verdict, 16)
    os.close(verdict)
    if said:
        os.waitpid(pid, 0)
        raise _cannot_execute(argv[0], int(said))
    return pid


def _cannot_execute(program: str, code: int) -> wire.SandboxError:
    if code == errno.ENOENT:
        return wire.SandboxError("StartError", f'exec: "{program}": executable file not found in $PATH')
    return wire.SandboxError("StartError", f'exec: "{program}": {os.strerror(code).lower()}')


def execute(argv: tuple[str, ...], env: dict[str, str], cwd: str, stdio: tuple[int, int, int], terminal: bool) -> None:
    """Become the program, in a session of its own, with default signals and nothing open but stdio."""
    os.setsid()
    for target, fd in enumerate(_above_stdio(stdio)):
        os.dup2(fd, target)
    if terminal:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    for signum in range(1, signal.NSIG):
        with contextlib.suppress(OSError, ValueError):
            signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    os.chdir(cwd)
    os.execvpe(argv[0], list(argv), env)


def _above_stdio(stdio: tuple[int, int, int]) -> list[int]:
    """Copies clear of 0-2, so that no dup2 overwrites a descriptor that is still to be copied."""
    return [
        os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC) if fd < 0 else fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
        for fd in stdio
    ]


def _forward_signals(main: int) -> None:
    def forward(signum: int, _: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(main, signum)

    for signum in signal.valid_signals() - _NOT_FORWARDED:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(signum, forward)


def _reap_until(main: int) -> tuple[int, int]:
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == main:
            return describe(status)


def _end_descendants() -> None:
    """In a shared pid namespace no kernel ends what the program leaves behind; as its subreaper, this process can."""
    for pid in limits.tree([os.getpid()])[1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def describe(status: int) -> tuple[int, int]:
    """A wait status as (exit code as shells give it, signal or 0)."""
    if os.WIFSIGNALED(status):
        return 128 + os.WTERMSIG(status), os.WTERMSIG(status)
    return os.waitstatus_to_exitcode(status), 0


def pause() -> int:
    """The pid 1 of a pod whose containers share their processes: reaps, and ends with the shim."""
    kernel.set_process_name("dabba-pause")
    kernel.die_with_parent(signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        signal.sigwait({signal.SIGCHLD})
