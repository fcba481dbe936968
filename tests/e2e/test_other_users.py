"""Other users of the machine reach nothing of a cluster but what it serves on purpose, at its ports."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import clusters
from tests.e2e.conftest import Dabba

STRANGER = 54321
TRY = """
import socket, sys
for path in sys.argv[1:]:
    try:
        socket.socket(socket.AF_UNIX).connect(path)
    except OSError as error:
        print(type(error).__name__)
    else:
        print(f"{path} let a stranger in")
"""


def doors(dabba: Dabba) -> list[Path]:
    found = [path for path in clusters.run_folder(dabba).rglob("*") if path.is_socket()]
    names = {path.name for path in found}
    assert {"holder.sock", "api.sock", "api-tls.sock", "kubelet.sock", "envoy-admin.sock"} <= names, names
    return found


def test_sockets_records_and_keys_lie_where_only_their_owner_may_look(dabba: Dabba) -> None:
    run = clusters.run_folder(dabba)
    data = dabba.home / "data/dabbawala/clusters/default"
    for folder in (run.parent, run, data):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
        assert folder.stat().st_uid == os.getuid()
    kept = [*doors(dabba), *data.glob("pki/**/*.key"), *data.glob("pki/tokens/*"), data / "kubeconfig"]
    open_to_others = [path for path in kept if stat.S_IMODE(path.stat().st_mode) & 0o077]
    assert open_to_others == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_no_socket_lets_a_stranger_in(dabba: Dabba) -> None:
    """Also where the folders around it are open: what the holder is asked, it asks who is there."""
    listed = [str(path) for path in doors(dabba)]
    strange = subprocess.run(
        ["/usr/bin/python3", "-c", TRY, *listed],
        user=STRANGER, group=STRANGER, extra_groups=[], cwd="/", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert set(strange.stdout.split("\n")) - {""} == {"PermissionError"}, strange.stdout + strange.stderr


def test_nothing_listens_on_the_network_but_at_loopback(dabba: Dabba) -> None:
    """The API and the node ports; the clusters of others on this machine are told apart by their processes."""
    own = {pid: sockets(pid) for pid in clusters.processes(dabba)}
    inodes = set().union(*own.values())
    wide = [line for line in listening() if line[1] in inodes and not line[0].startswith("127.")]
    assert wide == []
    assert [line for line in listening() if line[1] in inodes], "the API is there"


def sockets(pid: int) -> set[str]:
    """Inodes of the sockets that a process has open; none of one that has ended, or of a pod's init, which hides them
    from its own user too and is in the pod's network."""
    found: set[str] = set()
    try:
        entries = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return found
    for entry in entries:
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def listening() -> list[tuple[str, str]]:
    """Address and inode of every listening TCP socket of the host's network."""
    found = []
    for family, table in ((socket.AF_INET, "tcp"), (socket.AF_INET6, "tcp6")):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                packed = b"".join(
                    int(fields[1][at : at + 8], 16).to_bytes(4, sys.byteorder)
                    for at in range(0, len(fields[1].partition(":")[0]), 8)
                )
                found.append((socket.inet_ntop(family, packed), fields[9]))
    return found
