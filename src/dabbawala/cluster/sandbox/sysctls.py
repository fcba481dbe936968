"""Kernel settings of a pod: only those that the kernel keeps apart for each network or ipc namespace.

Any other name is a setting of the whole machine, and a cluster that root started could write it. A name becomes a path
below /proc/sys, so a name is also refused that would be more than names joined by dots.
Source: pkg/kubelet/sysctl (allowlist.go, namespace.go).
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from dabbawala.cluster.sandbox import wire

FORBIDDEN = "SysctlForbidden"

_PREFIXES = ("net.", "kernel.shm", "kernel.msg", "fs.mqueue.")
_NAMES = frozenset({"kernel.sem"})


def dotted(name: str) -> str:
    """`net/ipv4/ip_forward` as `net.ipv4.ip_forward`: where the first separator is a slash, the two change places."""
    first = next((character for character in name if character in "./"), ".")
    return name if first == "." else name.translate(str.maketrans("./", "/."))


def is_allowed(name: str) -> bool:
    """Whether the dotted name is a setting of the pod's own namespaces."""
    parts = name.split(".")
    if "/" in name or "\0" in name or "" in parts:
        return False
    return name in _NAMES or name.startswith(_PREFIXES)


def refusal(name: str) -> str:
    return f'forbidden sysctl: "{name}" not allowlisted'


def check(values: Mapping[str, str]) -> None:
    """Raises SandboxError for the first name that is not allowed."""
    for name in values:
        if not is_allowed(name):
            raise wire.SandboxError(FORBIDDEN, refusal(name))


def apply(values: Mapping[str, str]) -> None:
    """Set them for the namespaces that this process is in: all, or none where one is not allowed. SandboxError."""
    check(values)
    for name, value in values.items():
        try:
            write(name.replace(".", "/"), value)
        except OSError as error:
            reason = os.strerror(error.errno or 0).lower()
            message = f'sysctl "{name}" cannot be set to "{value}": {reason}'
            raise wire.SandboxError("SysctlFailed", message) from error


def write(path: str, value: str) -> None:
    """os.write, because a buffered file raises its error in its destructor, where nobody sees it."""
    fd = os.open(f"/proc/sys/{path}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)
