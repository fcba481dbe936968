"""Exec, attach, logs, port-forward and proxies, driven by the real kubectl and the Python clients, into real pods."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import struct
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx_ws
import kr8s
import kubernetes
import kubernetes.stream
import pytest
import pytest_asyncio
import yaml
from kubernetes.stream import portforward

from dabbawala.api import core_v1, discovery_v1
from dabbawala.cluster.apiserver import node_streams, version
from dabbawala.cluster.apiserver.core import Core, Plugins
from dabbawala.cluster.apiserver.discovery import Discovery
from dabbawala.cluster.apiserver.http import Front
from tests.cluster.kubelet.node_world import NodeWorld, main_status, node_world
from tests.kubectl import unpack

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVE = (
    "import http.server,os\n"
    "class H(http.server.BaseHTTPRequestHandler):\n"
    "    protocol_version='HTTP/1.1'\n"
    "    def do_GET(self):\n"
    "        body=(self.path+' '+self.headers.get('authorization','none')).encode()\n"
    "        if self.path=='/big': body=b'x'*3000000\n"
    "        self.send_response(200); self.send_header('content-length',str(len(body))); self.end_headers()\n"
    "        self.wfile.write(body)\n"
    "    def do_POST(self):\n"
    "        body=self.rfile.read(int(self.headers['content-length']))\n"
    "        self.send_response(201); self.send_header('content-length',str(len(body))); self.end_headers()\n"
    "        self.wfile.write(body)\n"
    "    def log_message(self,*a): pass\n"
    "http.server.ThreadingHTTPServer(('0.0.0.0',8080),H).serve_forever()\n"
)


def _plugins(core: Core) -> Plugins:
    endpoints = {**Discovery(core.kinds).endpoints(), "/version": version.endpoint("test", core.clock)}
    return Plugins(endpoints=endpoints, subresources=node_streams.handlers(core))


@pytest.fixture(scope="module")
def kubectl_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("bin"))["kubectl"]


class Cluster:
    """A node, the API server over HTTP on the loopback, and one pod `web` that serves port 8080."""

    def __init__(self, world: NodeWorld, url: str, binary: Path) -> None:
        self.world = world
        self.url = url
        self.binary = binary
        self.home = world.folder / "home"
        self.home.mkdir(exist_ok=True)
        self.config = self.home / "config"
        self.config.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "c", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c", "namespace": "default"}}],
        }))  # fmt: skip

    async def start(self, *arguments: str, **env: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            str(self.binary), *arguments, env={"HOME": str(self.home), "KUBECONFIG": str(self.config), **env},
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def kubectl(self, *arguments: str, stdin: bytes = b"", **env: str) -> tuple[int, bytes, str]:
        process = await self.start(*arguments, **env)
        async with asyncio.timeout(30):
            out, err = await process.communicate(stdin)
        return process.returncode or 0, out, err.decode()

    def python(self) -> kubernetes.client.CoreV1Api:
        configuration = kubernetes.client.Configuration(host=self.url)
        return kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(configuration))


@asynccontextmanager
async def _cluster(binary: Path) -> AsyncIterator[Cluster]:
    async with node_world(_plugins) as world:
        front = Front(world.server.handle)
        port = await front.listen_tcp("127.0.0.1", 0, None)
        await world.create("web", {"containers": [{
            "name": "main", "image": "shell:v1", "command": ["python3", "-c", SERVE],
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
        }]}, labels={"app": "web"})  # fmt: skip
        await world.ready("web")
        try:
            yield Cluster(world, f"http://127.0.0.1:{port}", binary)
        finally:
            await front.close(grace_seconds=0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(kubectl_binary: Path) -> AsyncIterator[Cluster]:
    async with _cluster(kubectl_binary) as made:
        yield made


WEBSOCKET: dict[str, str] = {}
SPDY = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}


@pytest.mark.parametrize("protocol", [WEBSOCKET, SPDY], ids=["websocket", "spdy"])
async def test_exec_carries_input_output_errors_and_the_exit_code(cluster: Cluster, protocol: dict[str, str]) -> None:
    code, out, err = await cluster.kubectl(
        "exec", "web", "--", "sh", "-c", "echo out; echo err >&2; exit 3", **protocol
    )
    assert (code, out) == (3, b"out\n")
    assert err.startswith("err\n")
    assert "exit code 3" in err
    data = os.urandom(700_000)
    code, out, err = await cluster.kubectl("exec", "-i", "web", "--", "cat", stdin=data, **protocol)
    assert (code, len(out), out == data) == (0, len(data), True), err


@pytest.mark.parametrize("protocol", [WEBSOCKET, SPDY], ids=["websocket", "spdy"])
async def test_a_command_that_does_not_exist_is_an_error_with_its_name(
    cluster: Cluster, protocol: dict[str, str]
) -> None:
    code, _, err = await cluster.kubectl("exec", "web", "--", "no-such-program", **protocol)
    assert code != 0
    assert "no-such-program" in err


@pytest.mark.parametrize("protocol", [WEBSOCKET, SPDY], ids=["websocket", "spdy"])
async def test_an_interactive_shell_has_a_terminal_of_the_users_size(
    cluster: Cluster, protocol: dict[str, str]
) -> None:
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
    process = await asyncio.create_subprocess_exec(
        str(cluster.binary), "exec", "-it", "web", "--", "sh", stdin=theirs, stdout=theirs, stderr=theirs,
        env={"HOME": str(cluster.home), "KUBECONFIG": str(cluster.config), "TERM": "dumb", **protocol},
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, b"tty; stty size; exit 5\n")
    seen = bytearray()

    def gather() -> None:
        try:
            while data := os.read(ours, 4096):
                seen.extend(data)
        except OSError:
            return

    await asyncio.wait_for(asyncio.to_thread(gather), 20)
    os.close(ours)
    assert await process.wait() == 5, seen
    assert b"/dev/pts/" in seen
    assert b"33 99" in seen, seen


async def test_run_with_input_and_remove_gives_back_what_the_program_says(cluster: Cluster) -> None:
    overrides = '{"spec":{"nodeName":"node-1"}}'
    code, out, err = await cluster.kubectl(
        "run", "once", "-i", "--rm", "--image=shell:v1", "--restart=Never", f"--overrides={overrides}", "--quiet",
        "--", "read line; echo got $line", stdin=b"words\n",
    )  # fmt: skip
    assert code == 0, err
    assert b"got words" in out


async def test_exec_refuses_what_is_not_there_with_a_status(cluster: Cluster) -> None:
    code, _, err = await cluster.kubectl("exec", "nobody", "--", "true")
    assert code == 1
    assert 'pods "nobody" not found' in err
    code, _, err = await cluster.kubectl("exec", "web", "-c", "other", "--", "true")
    assert code == 1
    assert "container other is not valid for pod web" in err


@pytest.mark.parametrize("protocol", [WEBSOCKET, SPDY], ids=["websocket", "spdy"])
async def test_port_forward_carries_many_connections_and_large_answers(
    cluster: Cluster, protocol: dict[str, str]
) -> None:
    process = await cluster.start("port-forward", "pod/web", ":8080", **protocol)
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 20)
        found = re.search(rb"127.0.0.1:(\d+) ->", line)
        assert found, line
        port = int(found.group(1))
        answers = await asyncio.gather(*(_get(port, f"/{number}") for number in range(8)), _get(port, "/big"))
        assert [answer.split(b" ")[0] for answer in answers[:8]] == [f"/{number}".encode() for number in range(8)]
        assert len(answers[8]) == 3_000_000
    finally:
        process.terminate()
        await process.communicate()


async def _get(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    return answer.partition(b"\r\n\r\n")[2]


async def test_logs_follow_a_program_to_its_end(cluster: Cluster) -> None:
    await cluster.world.run("talk", "for i in 1 2 3; do echo line $i; sleep 0.3; done", restartPolicy="Never")
    await cluster.world.until("talk", lambda pod: pod["status"]["phase"] != "Pending")
    code, out, _ = await cluster.kubectl("logs", "-f", "talk")
    assert (code, out) == (0, b"line 1\nline 2\nline 3\n")
    _, out, _ = await cluster.kubectl("logs", "talk", "--tail=1")
    assert out == b"line 3\n"
    _, out, _ = await cluster.kubectl("logs", "talk", "--timestamps", "--limit-bytes=45")
    assert re.match(rb"\d{4}-\d\d-\d\dT\S+Z line 1\n", out)
    assert len(out) == 45


async def test_logs_of_the_previous_run_are_kept(cluster: Cluster) -> None:
    await cluster.world.run("again", "echo run $$; sleep 0.2; exit 1")
    await cluster.world.until("again", lambda pod: main_status(pod)["restartCount"] >= 1)
    code, out, err = await cluster.kubectl("logs", "again", "--previous")
    assert code == 0, err
    assert out.startswith(b"run ")


async def test_logs_of_a_container_that_cannot_start_say_why(cluster: Cluster) -> None:
    await cluster.world.create("never", {"containers": [{"name": "main", "image": "missing:v1"}]})
    await cluster.world.until("never", lambda pod: "ImagePull" in str(pod["status"]))
    code, _, err = await cluster.kubectl("logs", "never")
    assert code == 1
    assert "waiting to start" in err


async def test_attach_shows_what_the_program_writes_from_now_on(cluster: Cluster) -> None:
    await cluster.world.run("ticker", "i=0; while true; do i=$((i+1)); echo tick $i; sleep 0.1; done")
    await cluster.world.ready("ticker")
    process = await cluster.start("attach", "ticker")
    try:
        assert process.stdout is not None
        lines = [await asyncio.wait_for(process.stdout.readline(), 20) for _ in range(4)]
        assert any(line.startswith(b"tick") for line in lines), lines
    finally:
        process.terminate()
        await process.communicate()


async def test_cp_brings_a_folder_in_and_out(cluster: Cluster) -> None:
    source = cluster.home / "folder"
    source.mkdir()
    (source / "file").write_text("content")
    code, _, err = await cluster.kubectl("cp", str(source), "web:/tmp/there")
    assert code == 0, err
    code, _, err = await cluster.kubectl("cp", "web:/tmp/there/file", str(cluster.home / "back"))
    assert code == 0, err
    assert (cluster.home / "back").read_text() == "content"


async def test_top_shows_what_pods_and_nodes_use(cluster: Cluster) -> None:
    code, out, err = await cluster.kubectl("top", "pods")
    assert code == 0, err
    assert re.search(rb"web\s+\d+m\s+\d+Mi", out), out
    code, out, err = await cluster.kubectl("top", "nodes")
    assert code == 0, err
    assert out.split(b"\n")[1].startswith(b"node-1"), out


async def test_the_pod_proxy_forwards_methods_paths_and_bodies_but_no_credentials(cluster: Cluster) -> None:
    _, out, err = await cluster.kubectl("get", "--raw", "/api/v1/namespaces/default/pods/web:8080/proxy/some/path?a=b")
    assert out == b"/some/path?a=b none", err
    _, out, err = await cluster.kubectl("get", "--raw", "/api/v1/namespaces/default/pods/http:web:http/proxy/")
    assert out.startswith(b"/ "), err
    client = cluster.world.client
    answer = await client.raw("POST", "/api/v1/namespaces/default/pods/web:8080/proxy/x", body=b"sent")
    assert (answer.status, await answer.read()) == (201, b"sent")


async def test_the_service_proxy_finds_an_endpoint_by_port_name(cluster: Cluster) -> None:
    pod = await cluster.world.pod("web")
    client = cluster.world.client
    await client.create(core_v1.SERVICE, {
        "metadata": {"name": "shop"},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "web", "port": 80, "targetPort": 8080}]},
    }, "default")  # fmt: skip
    code, _, err = await cluster.kubectl("get", "--raw", "/api/v1/namespaces/default/services/shop:web/proxy/")
    assert code == 1
    assert "no endpoints available" in err
    await client.create(discovery_v1.ENDPOINT_SLICE, {
        "metadata": {"name": "shop-1", "labels": {"kubernetes.io/service-name": "shop"}}, "addressType": "IPv4",
        "ports": [{"name": "web", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [pod["status"]["podIP"]], "conditions": {"ready": True}, "nodeName": "node-1"}],
    }, "default")  # fmt: skip
    for name in ("shop:web", "shop", "shop:80"):
        _, out, err = await cluster.kubectl("get", "--raw", f"/api/v1/namespaces/default/services/{name}/proxy/hello")
        assert out == b"/hello none", err


async def test_the_node_proxy_reaches_the_agent(cluster: Cluster) -> None:
    _, out, _ = await cluster.kubectl("get", "--raw", "/api/v1/nodes/node-1/proxy/healthz")
    assert out == b"ok"


async def test_the_python_client_executes_and_forwards(cluster: Cluster) -> None:
    def execute() -> str:
        return str(kubernetes.stream.stream(
            cluster.python().connect_get_namespaced_pod_exec, "web", "default", command=["echo", "from python"],
            stderr=True, stdin=False, stdout=True, tty=False,
        ))  # fmt: skip

    assert (await asyncio.to_thread(execute)).strip() == "from python"

    def forward() -> bytes:
        made = portforward(cluster.python().connect_get_namespaced_pod_portforward, "web", "default", ports="8080")
        connection = made.socket(8080)
        connection.settimeout(20)
        connection.sendall(b"GET /python HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        received = b""
        while data := connection.recv(65536):
            received += data
        return received

    assert b"/python none" in await asyncio.to_thread(forward)


@pytest.mark.filterwarnings("ignore:Kubernetes version .* is not supported:UserWarning")
async def test_kr8s_executes_and_forwards(cluster: Cluster) -> None:
    api = await kr8s.asyncio.api(kubeconfig=str(cluster.config))
    pod = await kr8s.asyncio.objects.Pod.get("web", namespace="default", api=api)
    done = await pod.exec(["echo", "from kr8s"])
    assert (done.returncode, done.stdout) == (0, b"from kr8s\n")
    async with pod.portforward(8080, local_port=0) as port:
        assert await _get(port, "/kr8s") == b"/kr8s none"


async def test_logs_over_a_websocket_are_plain_messages(cluster: Cluster) -> None:
    await cluster.world.run("spoken", "echo over the wire", restartPolicy="Never")
    await cluster.world.ended("spoken")
    url = f"{cluster.url}/api/v1/namespaces/default/pods/spoken/log"
    async with httpx_ws.aconnect_ws(url, subprotocols=["binary.k8s.io"]) as socket:
        assert socket.subprotocol == "binary.k8s.io"
        assert await socket.receive_bytes() == b"over the wire\n"
