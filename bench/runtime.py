"""What watching costs, and what it misses: the runtime detector beside pods that do ordinary work.

    python bench/runtime.py [--seconds N] [--rate R]

Four servers with probes (one of them runs a shell every second), a client in the cluster that opens a new connection
for each request, and load from the host. The detector's CPU time over the wall time is held against its target and
against the node agent's in the same minute. Then a pod starts programs in a row, some that do nothing and end within a
millisecond, some that live for 10 ms, and the share that was read in time is printed with what the detector says it
missed. Ordinary work must give no alert.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from private_cluster import PrivateCluster, distance, machine, private_cluster

from dabbawala.api import core_v1
from dabbawala.apimachinery.status import NotFound, StatusError
from dabbawala.client import http, kubeconfig
from dabbawala.client.client import Client
from dabbawala.demo.load import LoadProcess, Settings

CPU_PERCENT_TARGET = 2.0
SETTLE_SECONDS = 8.0
WAIT_SECONDS_MAX = 60.0
PROGRAMS = 300
"""Programs of each kind that are started in a row."""

NODE_PORT = 31917
IMAGE = "watched:1"
SERVER = """
import http.server
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    do_POST = do_GET
    def log_message(self, *_):
        with open("/tmp/access.log", "a") as log: log.write("request\\n")
http.server.ThreadingHTTPServer(("", 8080), Answer).serve_forever()
"""
CLIENT = """
import time, urllib.request
while True:
    try: urllib.request.urlopen("http://web.default.svc.cluster.local/", timeout=5).read()
    except OSError: pass
    time.sleep(0.02)
"""
BURST = f"""
sleep {SETTLE_SECONDS:g}
i=0; while [ $i -lt {PROGRAMS} ]; do /bin/true short-$i; i=$((i+1)); done
i=0; while [ $i -lt {PROGRAMS} ]; do sh -c 'sleep 0.01' long-$i; i=$((i+1)); done
sleep infinity
"""
RULES = """
- rule: Short program
  desc: Of the burst
  condition: evt.type = execve and proc.args startswith short-
  output: "%proc.args"
  priority: DEBUG
- rule: Longer program
  desc: Of the burst
  condition: evt.type = execve and proc.args contains long-
  output: "%proc.args"
  priority: DEBUG
"""
Object = dict[str, Any]


def pod(name: str, *command: str, **spec: Any) -> Object:
    container = {"name": "main", "image": IMAGE, "imagePullPolicy": "Never", "command": list(command), **spec}
    body = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name[:3]}}, "spec": body}


def service() -> Object:
    port = {"port": 80, "targetPort": 8080, "nodePort": NODE_PORT}
    spec = {"type": "NodePort", "selector": {"app": "web"}, "ports": [port]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec}


async def apply(client: Client, obj: Object) -> None:
    kind = core_v1.POD if obj["kind"] == "Pod" else core_v1.SERVICE
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        try:
            await client.create(kind, obj, "default")
            return
        except StatusError:  # the account of a namespace that is new comes a moment later
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)


async def running(client: Client, *names: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        try:
            pods = [await client.get(core_v1.POD, name, "default") for name in names]
        except NotFound:
            pods = []
        if pods and all((one.get("status") or {}).get("phase") == "Running" for one in pods):
            return
        if time.monotonic() > deadline:
            sys.exit(f"not running after {WAIT_SECONDS_MAX:g} s: {', '.join(names)}")
        await asyncio.sleep(0.1)


def cpu_seconds(pid: int) -> float:
    """Of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(value) for value in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def agent_pid(cluster: PrivateCluster) -> int:
    """The node agent, which has the cluster's folder in its command line or environment."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if b"dabbawala.cluster.kubelet" in command and str(cluster.home).encode() in command:
                return int(entry.name)
    sys.exit("the node agent was not found")


def detector(cluster: PrivateCluster, folder: Path, *options: str) -> subprocess.Popen[str]:
    """Running and watching."""
    argv = cluster.command("guard", "runtime", "--json-file", str(folder / "alerts.json"), "--no-events", *options)
    environment = {**cluster.environment, "KUBECONFIG": str(cluster.kubeconfig)}
    process = subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("watching"):
            return process
    sys.exit("the detector did not begin")


def alerts(folder: Path) -> list[Object]:
    file = folder / "alerts.json"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


async def cost(cluster: PrivateCluster, client: Client, seconds: float, rate: float) -> bool:
    """Print what watching ordinary work costs; whether nothing was reported."""
    http_probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
    exec_probe = {"exec": {"command": ["sh", "-c", "test -d /tmp"]}, "periodSeconds": 1}
    servers = [
        pod(f"web-{number}", "python3", "-c", SERVER, readinessProbe=http_probe,
            **({"livenessProbe": exec_probe} if number == 0 else {}))
        for number in range(4)
    ]  # fmt: skip
    for obj in (service(), *servers, pod("client", "python3", "-c", CLIENT)):
        await apply(client, obj)
    await running(client, *(f"web-{number}" for number in range(4)), "client")
    with tempfile.TemporaryDirectory() as made:
        process = detector(cluster, Path(made))
        agent = agent_pid(cluster)
        visits: list[object] = []
        load = LoadProcess(
            Settings("127.0.0.1", NODE_PORT, "web", "catalog", rate, int(rate * (seconds + 30))), visits.extend
        )
        await load.start()
        await asyncio.sleep(SETTLE_SECONDS)
        before, began = (cpu_seconds(process.pid), cpu_seconds(agent)), time.monotonic()
        await asyncio.sleep(seconds)
        wall = time.monotonic() - began
        used, used_by_agent = cpu_seconds(process.pid) - before[0], cpu_seconds(agent) - before[1]
        await load.stop()
        process.terminate()
        process.wait()
        percent = used / wall * 100
        print(f"{len(visits)} requests from the host, 6 pods, {wall:.0f} s")
        print(f"detector: {percent:.2f} % of a core; target {CPU_PERCENT_TARGET:g} %: "
              f"{distance(percent, CPU_PERCENT_TARGET, more_is_better=False)}")  # fmt: skip
        print(f"node agent in the same time: {used_by_agent / wall * 100:.2f} %; ratio {used / used_by_agent:.2f}")
        found = alerts(Path(made))
        print(f"alerts: {len(found)}")
        for alert in found[:10]:
            print(f"  {alert['output']}")
        return not found


async def recall(cluster: PrivateCluster, client: Client) -> None:
    """Print what share of short programs is read in time."""
    with tempfile.TemporaryDirectory() as made:
        rules = Path(made) / "rules.yaml"
        rules.write_text(RULES)
        process = detector(cluster, Path(made), "--no-shipped", "--rules", str(rules))
        await apply(client, pod("burst", "sh", "-c", BURST))
        await running(client, "burst")
        await asyncio.sleep(SETTLE_SECONDS)
        await _until(lambda: any("long-299" in alert["output"] for alert in alerts(Path(made))))
        process.terminate()
        said = process.communicate()[1]
        for rule, kind in (("Short program", "end at once"), ("Longer program", "live 10 ms")):
            outputs = {alert["output"].split()[-1] for alert in alerts(Path(made)) if alert["rule"] == rule}
            seen = sum(output.startswith(("short-", "long-")) for output in outputs)
            print(f"programs that {kind}: {seen} of {PROGRAMS} seen ({seen / PROGRAMS:.1%})")
        print(f"the detector says: {said.strip() or 'nothing'}")


async def _until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not happened() and time.monotonic() < deadline:
        await asyncio.sleep(0.2)


async def measure(seconds: float, rate: float) -> bool:
    with private_cluster() as cluster, tempfile.TemporaryDirectory() as context:
        (Path(context) / "Dockerfile").write_text('FROM debian:12-slim\nCMD ["sleep", "infinity"]\n')
        cluster.dabba("up", "--nodes", "1")
        cluster.dabba("image", "build", context, "-t", IMAGE)
        client = Client(http.HTTPTransport(kubeconfig.load(cluster.kubeconfig)))
        try:
            quiet = await cost(cluster, client, seconds, rate)
            await recall(cluster, client)
        finally:
            await client.close()
    return quiet


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long ordinary work is watched")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second from the host")
    chosen = parser.parse_args()
    print(machine())
    if not asyncio.run(measure(chosen.seconds, chosen.rate)):
        sys.exit(1)


if __name__ == "__main__":
    main()
