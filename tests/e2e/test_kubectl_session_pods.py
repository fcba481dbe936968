"""The real kubectl at pods: run, logs, exec, attach, cp, port-forward, expose, debug by proxy, top."""

from __future__ import annotations

import re
import socket
import urllib.request
from pathlib import Path

from tests.e2e.session import SHELL, WEB, Session, deployment, eventually, pod

FETCH = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode(), end='')"


def started(k: Session, name: str, *command: str) -> str:
    """A pod that runs `command` and is ready."""
    k("apply", "-f", k.file(f"{name}.json", pod(name, *command)))
    k("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=20s")
    return name


def fetched(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


# --- run, attach -----------------------------------------------------------------------------------------------


def test_run_starts_a_pod_and_shows_what_a_command_in_it_says(k: Session) -> None:
    k("run", "web", f"--image={WEB}", "--port=8080", "--labels=app=web,tier=front", "--env=GREETING=hi")
    k("wait", "--for=condition=Ready", "pod/web", "--timeout=20s")
    found = k.read("pod", "web")
    assert (found["metadata"]["labels"], found["status"]["phase"]) == ({"app": "web", "tier": "front"}, "Running")
    said = k("run", "once", f"--image={SHELL}", "--restart=Never", "--rm", "-i", "-q", "--", "echo", "from inside")
    assert "from inside" in said
    assert k.gone("pod", "once")


def test_run_with_input_gives_it_to_the_program_and_ends_with_it(k: Session) -> None:
    counting = ("--", "sh", "-c", "wc -l; echo counted")
    said = k("run", "count", f"--image={SHELL}", "--restart=Never", "--rm", "-i", "-q", *counting, stdin="one\ntwo\n")
    assert "2\ncounted" in said
    assert k.gone("pod", "count")


def test_attach_follows_the_program_that_is_already_running(k: Session) -> None:
    started(k, "ticker", "sh", "-c", "while :; do echo tick; sleep 0.2; done")
    with k.streaming("attach", "ticker") as seen:
        assert "tick" in seen.until("tick\n")


# --- logs ------------------------------------------------------------------------------------------------------


def test_logs_show_the_end_the_whole_and_what_comes_next(k: Session) -> None:
    started(k, "talker", "sh", "-c", "echo one; echo two; echo three; exec sleep 1000")
    eventually(lambda: k("logs", "talker").split() == ["one", "two", "three"])
    assert k("logs", "talker", "--tail=1") == "three\n"
    assert k("logs", "talker", "--limit-bytes=4") == "one\n"
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z one\n", k("logs", "talker", "--timestamps", "-c", "main"))
    assert k("logs", "talker", "--since=1h") == "one\ntwo\nthree\n"
    assert k("logs", "-l", "app=talker", "--prefix", "--tail=1") == "[pod/talker/main] three\n"
    assert "container nope is not valid for pod talker" in k.refused("logs", "talker", "-c", "nope")


def test_logs_follow_until_the_program_ends(k: Session) -> None:
    started(k, "slow", "sh", "-c", "echo first; while ! test -e /tmp/go; do sleep 0.05; done; echo last")
    with k.streaming("logs", "-f", "slow") as seen:
        assert seen.until("first\n") == "first\n"
        k("exec", "slow", "--", "touch", "/tmp/go")
        assert seen.until("last\n").startswith("first\nlast\n")


def test_logs_of_the_run_before_the_crash_are_kept(k: Session) -> None:
    crashing = ("sh", "-c", "test -e /data/ran && exec sleep 1000; touch /data/ran; echo about to crash; exit 3")
    made = pod("crasher", *crashing, volumes=[{"name": "data", "emptyDir": {}}])
    made["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    k("apply", "-f", k.file("crasher.json", made))
    k("wait", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "pod/crasher", "--timeout=30s")
    k("wait", "--for=condition=Ready", "pod/crasher", "--timeout=20s")
    assert k("logs", "crasher", "--previous") == "about to crash\n"
    assert k("logs", "crasher") == ""
    last = k.read("pod", "crasher")["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"]) == (3, "Error")
    assert re.search(
        r"Last State:\s+Terminated\n\s+Reason:\s+Error\n\s+Exit Code:\s+3", k("describe", "pod", "crasher")
    )


# --- exec, cp --------------------------------------------------------------------------------------------------


def test_exec_runs_a_command_with_its_streams_and_its_exit_code(k: Session) -> None:
    started(k, "box", "sleep", "1000")
    ran = k.run("exec", "box", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (ran.out, ran.status) == ("out\n", 3)
    assert ran.err.splitlines() == ["err", "command terminated with exit code 3"]
    many = "".join(f"line {number}\n" for number in range(20_000))
    assert k("exec", "-i", "box", "--", "cat", stdin=many) == many
    assert k("exec", "pod/box", "-c", "main", "--", "hostname") == "box\n"
    assert "not found" in k.refused("exec", "nobody", "--", "true")
    assert "no-such-program" in k.refused("exec", "box", "--", "no-such-program")


def test_exec_with_a_terminal_is_a_shell_that_knows_its_size(k: Session) -> None:
    started(k, "box", "sleep", "1000")
    with k.streaming("exec", "-it", "box", "--", "sh", terminal=True) as shell:
        shell.type("test -t 0 && test -t 1 && echo terminal-$((40 + 2))\n")
        shell.until("terminal-42")
        shell.resize(132, 43)
        eventually(lambda: (shell.type("stty size\n"), "43 132" in shell.text)[1])
        shell.type("sh -c 'echo sleeping-$((1 + 1)); exec sleep 1000'\n")
        shell.until("sleeping-2")
        shell.type("\x03")  # Ctrl-C ends the sleep, not the shell
        shell.type("echo still-$((1 + 1))\n")
        shell.until("still-2")
        shell.type("exit 5\n")
        assert shell.end() == 5


def test_cp_carries_files_and_folders_both_ways(k: Session, tmp_path: Path) -> None:
    started(k, "box", "sleep", "1000")
    folder = tmp_path / "out" / "deep"
    folder.mkdir(parents=True)
    (folder / "text").write_text("namaste\n")
    (folder / "bytes").write_bytes(bytes(range(256)) * 4000)
    k("cp", str(tmp_path / "out"), "box:/tmp/in")
    assert k("exec", "box", "--", "cat", "/tmp/in/deep/text") == "namaste\n"
    k("exec", "box", "--", "sh", "-c", "echo added >> /tmp/in/deep/text")
    k("cp", "box:/tmp/in", str(tmp_path / "back"))
    assert (tmp_path / "back" / "deep" / "text").read_text() == "namaste\nadded\n"
    assert (tmp_path / "back" / "deep" / "bytes").read_bytes() == (folder / "bytes").read_bytes()


# --- the network -----------------------------------------------------------------------------------------------


def test_port_forward_reaches_pods_services_and_deployments(k: Session) -> None:
    k("apply", "-f", k.file("web.json", deployment("web")))
    k("expose", "deployment", "web", "--port=80", "--target-port=8080")
    k("rollout", "status", "deployment/web", "--timeout=20s")
    name = k("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
    for target, port in ((f"pod/{name}", 8080), ("service/web", 80), ("deployment/web", 8080)):
        with k.streaming("port-forward", target, f":{port}") as forward:
            found = re.search(r"127\.0\.0\.1:(\d+) -> 8080", forward.until("Forwarding from"))
            assert found
            url = f"http://127.0.0.1:{found[1]}/"
            assert [fetched(url) for _ in range(3)] == [f"v1 hello from {name}\n"] * 3


def test_port_forward_says_when_nobody_listens(k: Session) -> None:
    started(k, "quiet", "sleep", "1000")
    with k.streaming("port-forward", "pod/quiet", ":9999") as forward:
        found = re.search(r"127\.0\.0\.1:(\d+)", forward.until("Forwarding from"))
        assert found
        with socket.create_connection(("127.0.0.1", int(found[1])), timeout=5) as connection:
            connection.sendall(b"hello")
            assert connection.recv(100) == b""
        assert "failed to connect to localhost:9999 inside" in forward.until("inside pod")


def test_expose_makes_a_service_that_pods_reach_by_name(k: Session) -> None:
    k("apply", "-f", k.file("web.json", deployment("web", replicas=2)))
    k("expose", "deployment", "web", "--port=80", "--target-port=8080", "--name=shop")
    started(k, "visitor", "sleep", "1000")
    k("rollout", "status", "deployment/web", "--timeout=20s")
    k("wait", "--for=condition=dabbawala.dev/Programmed", "service/shop", "--timeout=20s")
    names = {one.removeprefix("pod/") for one in k.names("pods", "-l", "app=web")}
    program = (
        f"import urllib.request as u\nfor _ in range(20): print(u.urlopen('http://shop.{k.namespace}').read().decode())"
    )

    def answering() -> set[str]:
        said = k.run("exec", "visitor", "--", "python3", "-c", program)
        return {line.split()[-1] for line in said.out.splitlines() if line and said.status == 0}

    eventually(lambda: answering() == names)
    assert k("get", "endpointslices", "-l", "kubernetes.io/service-name=shop", "-o", "name").count("\n") == 1


def test_the_api_server_passes_requests_on_to_services_and_pods(k: Session) -> None:
    k("run", "web", f"--image={WEB}", "--port=8080", "--expose")
    k("wait", "--for=condition=Ready", "pod/web", "--timeout=20s")
    eventually(lambda: "listens" in k("logs", "web"))
    root = f"/api/v1/namespaces/{k.namespace}"
    assert k("get", "--raw", f"{root}/pods/web:8080/proxy/") == "v1 hello from web\n"
    through_service = ("get", "--raw", f"{root}/services/web:8080/proxy/some/path")
    eventually(lambda: k.run(*through_service).out == "v1 hello from web\n")
    with k.streaming("proxy", "--port=0") as proxy:
        found = re.search(r"127\.0\.0\.1:(\d+)", proxy.until("Starting to serve"))
        assert found
        assert '"kind":"Pod"' in fetched(f"http://127.0.0.1:{found[1]}{root}/pods/web").replace(" ", "")


def test_top_shows_what_pods_and_nodes_use(k: Session) -> None:
    started(k, "busy", "sh", "-c", "while :; do :; done")
    table = eventually(lambda: (seen := k.run("top", "pods")).status == 0 and "busy" in seen.out and seen.out)
    assert table.split("\n")[0].split() == ["NAME", "CPU(cores)", "MEMORY(bytes)"]
    cpu = eventually(lambda: int(re.search(r"busy\s+main\s+(\d+)m", k("top", "pod", "busy", "--containers"))[1]))  # type: ignore[index]
    assert 0 < cpu <= 2000
    nodes = k("top", "nodes")
    assert "node-1" in nodes
    assert "node-2" in nodes
