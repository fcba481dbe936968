"""Can this user have sandboxes here? Asked by doing, not by reading settings.

A forked child goes as far as a pod needs: namespaces, id maps, loopback up, a veth pair, a tmpfs and a proc mount. The
first step that fails names the cause; each known cause has its remedy.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from dabbawala.cluster.sandbox import idmap, kernel, loop, rtnetlink

_NAMESPACES = (
    kernel.CLONE_NEWUSER | kernel.CLONE_NEWPID | kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether process pods are possible; if not, which step failed with which errno, and what to do about it."""

    possible: bool
    step: str = ""
    code: int = 0
    remedy: str = ""

    def explain(self) -> str:
        if self.possible:
            return "user namespaces work: pods can run as sandboxed processes"
        said = os.strerror(self.code).lower() if self.code else "failed"
        return f"pods cannot run as sandboxed processes here: {self.step}: {said}. {self.remedy}"


_REMEDIES = {
    ("user namespace", errno.ENOSPC): "user.max_user_namespaces is 0 or used up: as root, "
    "`sysctl -w user.max_user_namespaces=15000`.",
    ("user namespace", errno.EPERM): "Unprivileged user namespaces are switched off (Debian: as root, "
    "`sysctl -w kernel.unprivileged_userns_clone=1`), or a container's seccomp profile or a chroot forbids them: "
    "start that container with `--security-opt seccomp=unconfined`.",
    ("network namespace", errno.ENOSPC): "user.max_net_namespaces is 0 or used up: as root, "
    "`sysctl -w user.max_net_namespaces=15000`.",
    ("proc mount", errno.EPERM): "/proc is partly hidden here, as in a container: start that container with "
    "`--security-opt systempaths=unconfined`.",
}
_APPARMOR = (
    "User namespaces come without rights here (Ubuntu's AppArmor restriction): as root, "
    "`sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, or give the interpreter a profile with `userns`."
)
_OTHERWISE = "The control plane, simulated pods and everything on them still work; `dabba up` as root may work too."
_CONFINED_STEPS = ("id maps", "network namespace", "loopback", "veth", "mount")


def _remedy(step: str, code: int) -> str:
    known = _REMEDIES.get((step, code))
    if known is None and step in _CONFINED_STEPS and code in (errno.EPERM, errno.EACCES):
        known = _APPARMOR
    return f"{known} {_OTHERWISE}" if known else _OTHERWISE


def run() -> Verdict:
    """Try it all in a child. Call it from a process that may fork (a thread of a small one is fine)."""
    said, say = os.pipe2(os.O_CLOEXEC)
    asked, ask = os.pipe2(os.O_CLOEXEC)
    allowed, allow = os.pipe2(os.O_CLOEXEC)
    maps = idmap.cluster_maps(os.getuid(), os.getgid())
    pid = loop.fork(lambda: _attempt(say, ask, allowed), (say, ask, allowed))
    for fd in (say, ask, allowed):
        os.close(fd)
    refused = 0
    if os.read(asked, 1):
        try:
            idmap.write_maps(pid, *maps)
            os.write(allow, b"y")
        except OSError as error:
            refused = error.errno or errno.EPERM
    os.close(allow)
    text = os.read(said, 256).decode()
    os.close(asked)
    os.close(said)
    os.waitpid(pid, 0)
    if refused:
        return Verdict(False, "id maps", refused, _remedy("id maps", refused))
    if text == "ok":
        return Verdict(True)
    step, _, code = text.partition(":")
    return Verdict(False, step or "user namespace", int(code or 0), _remedy(step, int(code or 0)))


def _attempt(say: int, ask: int, allowed: int) -> int:
    try:
        kernel.unshare(_NAMESPACES)
    except OSError as error:
        os.write(say, f"user namespace:{error.errno}".encode())
        return 1
    os.write(ask, b"u")
    if not os.read(allowed, 1):
        return 1
    # As the holder: pid 1 of the new pid namespace, without which proc cannot be mounted nor a thread be started.
    os.waitpid(loop.fork(lambda: _build(say), (say,)), 0)
    return 0


def _build(say: int) -> int:
    step = "network namespace"
    try:
        far = kernel.new_network_namespace()
        kernel.unshare(kernel.CLONE_NEWNET)
        netlink = rtnetlink.Netlink()
        step = "loopback"
        netlink.set_up("lo")
        step = "veth"
        netlink.create_veth("probe0", "eth0", far)
        step = "mount"
        kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_SLAVE)
        kernel.mount("probe", "/tmp", "tmpfs")
        step = "proc mount"
        kernel.mount("proc", "/proc", "proc")
    except OSError as error:
        os.write(say, f"{step}:{error.errno}".encode())
        return 1
    os.write(say, b"ok")
    return 0
