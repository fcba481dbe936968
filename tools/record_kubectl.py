"""Record what kubectl sends in protobuf, beside the JSON that it says it means, as test data.

    python tools/record_kubectl.py path/to/kubectl

runs the commands below against a server on loopback that keeps bodies and answers anything, and again with
`--dry-run=client -o json`. Writes `tests/apimachinery/testdata/kubectl_bodies.json`.
"""

from __future__ import annotations

import base64
import http.server
import json
import pathlib
import subprocess
import sys
import tempfile
import threading

TARGET = pathlib.Path(__file__).parents[1] / "tests/apimachinery/testdata/kubectl_bodies.json"
COMMANDS = {
    "configmap": "create configmap cm --from-literal=a=b --from-literal=c=d",
    "deployment": "create deployment web --image=nginx:1 --replicas=3 --port=80",
    "secret": "create secret generic s --from-literal=k=v --type=Opaque",
    "docker secret": "create secret docker-registry d --docker-username=u --docker-password=p",
    "namespace": "create namespace team",
    "service account": "create serviceaccount bot",
    "job": "create job j --image=busybox",
    "cron job": "create cronjob c --image=busybox --schedule=@hourly",
    "role": "create role r --verb=get,list --resource=pods",
    "cluster role": "create clusterrole cr --verb=get --non-resource-url=/healthz",
    "role binding": "create rolebinding rb --clusterrole=view --serviceaccount=default:bot",
    "cluster role binding": "create clusterrolebinding crb --clusterrole=view --user=a",
    "node port": "create service nodeport np --tcp=80:8080 --node-port=30080",
    "headless service": "create service clusterip h --clusterip=None",
    "quota": "create quota q --hard=cpu=1,memory=1G,pods=2",
    "disruption budget": "create poddisruptionbudget pdb --selector=app=web --min-available=50%",
    "priority class": "create priorityclass high --value=1000 --description=x",
    "ingress": "create ingress i --rule=foo.com/bar=svc1:8080",
    "token": "create token bot --duration=1h --audience=x",
    "who am i": "auth whoami",
    "can i": "auth can-i create deployments.apps -n x",
    "deletion by drain": "drain n1 --disable-eviction --force --grace-period=5 --timeout=2s",
}
RESOURCES = {"v1": {"pods": "Pod", "nodes": "Node"}, "apps/v1": {"deployments": "Deployment"}}
ANSWERS = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [{"name": "apps", "versions": [{"groupVersion": "apps/v1", "version": "v1"}]}],
    },
    "/api/v1/nodes/n1": {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n1"}},
    "/api/v1/pods": {
        "kind": "PodList",
        "apiVersion": "v1",
        "items": [{"metadata": {"name": "p", "namespace": "a"}, "spec": {"nodeName": "n1"}}],
    },
}
for version, kinds in RESOURCES.items():
    listed = [
        {"name": name, "kind": kind, "namespaced": name != "nodes", "verbs": ["create", "delete", "get", "list"]}
        for name, kind in kinds.items()
    ]
    ANSWERS[f"/api{'s' * ('/' in version)}/{version}"] = {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": version,
        "resources": listed,
    }


class Recorder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bodies: list[bytes]

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        found = ANSWERS.get(self.path.partition("?")[0])
        missing = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        self._answer(found or missing, 200 if found else 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if body.startswith(b"k8s\0"):
            self.bodies.append(body)
        self._answer({"kind": "Status", "apiVersion": "v1", "status": "Success"}, 201)

    do_DELETE = do_PATCH = do_POST

    def _answer(self, document: object, code: int) -> None:
        body = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def record(kubectl: str) -> list[dict[str, object]]:
    bodies: list[bytes] = []
    handler = type("Bound", (Recorder,), {"bodies": bodies})
    found: list[dict[str, object]] = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, tempfile.TemporaryDirectory() as home:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = [kubectl, "--server", f"http://127.0.0.1:{server.server_port}", "--cache-dir", f"{home}/cache"]

        def run(command: str) -> str:
            options = {"capture_output": True, "text": True, "timeout": 20, "env": {"HOME": home}}
            return subprocess.run([*base, *command.split()], **options).stdout

        for name, command in COMMANDS.items():
            bodies.clear()
            run(command)
            meant = run(f"{command} --dry-run=client -o json") if command.startswith("create ") else ""
            stated = json.loads(meant) if meant.startswith("{") else None
            found.append(
                {"name": name, "command": command, "body": base64.b64encode(bodies[-1]).decode(), "json": stated}
            )
        server.shutdown()
    return found


if __name__ == "__main__":
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(record(sys.argv[1]), indent=1) + "\n")
