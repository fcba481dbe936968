"""Something that looks to the detector like a container of the embedded cluster, without a cluster: a shell in
namespaces of its own below a process with an init's title, told what to do through its standard input.
"""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

UP = (
    "import fcntl,socket,struct;"
    "fcntl.ioctl(socket.socket(),0x8914,struct.pack('16sH14x',b'lo',1))"  # SIOCSIFFLAGS, IFF_UP
)
READY = f'mount -t tmpfs t /var/log && mount -t tmpfs t /root && cd / && /usr/bin/python3 -c "{UP}" && echo ready'


@dataclass(frozen=True)
class Shell:
    """`uid` is its pod's; `pid` that of the process with the title."""

    process: subprocess.Popen[str]
    uid: str

    @property
    def pid(self) -> int:
        return self.process.pid

    def __call__(self, command: str) -> str:
        """Run it there to the end; the last line that it printed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command}\necho; echo done\n")
        self.process.stdin.flush()
        printed = []
        while (line := self.process.stdout.readline().strip()) != "done":
            assert line or self.process.poll() is None, f"{command}: the shell has ended"
            printed.append(line)
        return next((line for line in reversed(printed) if line), "")


@contextmanager
def container() -> Iterator[Shell]:
    """Skips where this machine does not give namespaces."""
    uid = str(uuid.uuid4())
    argv = [
        "bash",
        "-c",
        'exec -a "$1" unshare -r -m -n --fork --kill-child sh -c "$2"',
        "-",
        f"dabba-init {uid}/web/0",
    ]
    process = subprocess.Popen(
        [*argv, f"{READY} && exec sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            pytest.skip(f"no namespaces for a container: {process.communicate()[1].strip()}")
        yield Shell(process, uid)
    finally:
        process.kill()
        process.communicate()
