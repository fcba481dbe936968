"""How pods leave the cluster: to the ports of this machine that were allowed when it was started, and to no others."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e import clusters
from tests.e2e.clusters import until
from tests.kubectl import Kubectl

POD = """
apiVersion: v1
kind: Pod
metadata: {name: visitor}
spec: {containers: [{name: visitor, image: "visitor:v1", imagePullPolicy: Never}]}
"""
NAME = "host.dabbawala.internal"
# How curl ends when it is refused: the relay accepts and then resets, which may come while curl still connects (7) or
# when it already waits for the answer (56).
REFUSED = ("exit code 7\n", "exit code 56\n")


class Greeting(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"from the host")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def host_server() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Greeting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_pods_reach_the_ports_of_this_machine_that_were_allowed_until_they_are_taken_back(
    process_pods: None, binaries: dict[str, Path]
) -> None:
    with clusters.private() as dabba, host_server() as allowed, host_server() as private:
        folder = dabba.home / "visitor"
        folder.mkdir()
        (folder / "Dockerfile").write_text('FROM debian:12-slim\nCMD ["sleep", "infinity"]\n')
        dabba("image", "build", str(folder), "-t", "visitor:v1")
        dabba("up", "--host-port", str(allowed))
        kubectl = Kubectl(binaries["kubectl"], dabba.kubeconfig(), dabba.home)
        kubectl("create", "-f", "-", stdin=POD)
        kubectl("wait", "--for=condition=Ready", "pod/visitor", "--timeout=30s")

        def says(host: str, port: int) -> str:
            command = ["curl", "-sS", "-m", "5", f"http://{host}:{port}/"]
            ran = kubectl.run("exec", "visitor", "--", *command)
            return ran.out or ran.err

        until("the allowed port answers", lambda: says(NAME, allowed) == "from the host")
        assert says(NAME, private).endswith(REFUSED)
        api = int(
            json.loads((clusters.run_folder(dabba) / "controlplane.json").read_text())["server"].rpartition(":")[2]
        )
        assert says(NAME, api).endswith(REFUSED), "the API is reached at its Service, not over the host"

        dabba("down")
        dabba("up", "--host-port", "0")
        until("the pod is back", lambda: kubectl.run("exec", "visitor", "--", "true").status == 0)
        until("it is refused", lambda: says(NAME, allowed).endswith(REFUSED))
