"""What goes wrong on other people's machines: each time a sentence that says what and what to do, never a traceback."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import clusters
from tests.e2e.clusters import until
from tests.e2e.conftest import Dabba
from tests.kubectl import Kubectl

SIMULATED = ("--nodes", "0", "--simulated-nodes", "1")
NO_NAMESPACES = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
TINY_DISK = 'mount -t tmpfs -o size=100k none "$DABBA_DISK" && exec "$@"'
SMALL_DISK = 'mount -t tmpfs -o size=12m none "$DABBA_DISK" && exec "$@"'


@pytest.fixture
def dabba() -> Iterator[Dabba]:
    """The command with a home of its own; nothing runs yet."""
    with clusters.private() as made:
        yield made


def refused(dabba: Dabba, *words: str, status: int = 1) -> str:
    """What the command says on its way to that status."""
    done = dabba.run(*words)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr


def restricted(
    dabba: Dabba, script: str, *words: str, namespaces: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """The command where the machine is poorer: in a user namespace in which `script` takes something away first."""
    tool = shutil.which("unshare")
    if tool is None or subprocess.run([tool, "--user", "--map-root-user", "true"], check=False).returncode:
        pytest.skip("no user namespace to take something away in")
    command = [sys.executable, "-m", "dabbawala.cli.main", *words]
    return subprocess.run(
        [tool, "--user", "--map-root-user", *namespaces, "sh", "-c", script, "sh", *command],
        env={**dabba.environment, "DABBA_DISK": str(disk(dabba))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def disk(dabba: Dabba) -> Path:
    folder = dabba.home / "disk"
    folder.mkdir(exist_ok=True)
    return folder


def state(dabba: Dabba) -> Path:
    return dabba.home / "data/dabbawala/clusters/default/state.db"


def test_a_taken_port_is_named_and_not_asked_for_again(dabba: Dabba) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(dabba, "up", *SIMULATED, "--api-port", str(port))
        assert f"port {port} of 127.0.0.1 cannot be used (address already in use)" in said
        assert "choose another with --api-port" in said
        dabba("up", *SIMULATED)


def test_a_data_directory_belongs_to_one_running_cluster(dabba: Dabba) -> None:
    dabba("up", *SIMULATED)
    said = refused(dabba, "up", "--name", "second", "--data-dir", str(state(dabba).parent), *SIMULATED)
    assert 'is in use by cluster "default"' in said
    assert "choose another --data-dir" in said
    assert "1 of 1 ready" in dabba("status"), "the first one goes on"


@pytest.mark.parametrize("damage", ["a few bytes", "all of it"])
def test_a_damaged_state_file_is_not_served_from(dabba: Dabba, damage: str) -> None:
    dabba("up", *SIMULATED)
    dabba("down")
    content = bytearray(state(dabba).read_bytes())
    for index in range(5000, len(content), 97):
        content[index] ^= 0xFF
    state(dabba).write_bytes(content if damage == "a few bytes" else b"not a database at all" * 1000)
    said = refused(dabba, "up")
    assert f"{state(dabba)} is damaged" in said
    assert "restore it from a backup" in said
    assert "dabba up --fresh" in said
    dabba("up", "--fresh", *SIMULATED)


def test_options_that_cannot_be_read_are_named_and_forgotten_by_a_fresh_start(dabba: Dabba) -> None:
    dabba("up", *SIMULATED)
    dabba("down")
    options = state(dabba).with_name("options.json")
    options.write_text("{")
    assert f"{options}" in refused(dabba, "up", status=2)
    dabba("up", "--fresh", *SIMULATED)


def test_a_full_disk_refuses_writes_in_words_and_serves_again_when_there_is_room(
    dabba: Dabba, binaries: dict[str, Path]
) -> None:
    started = restricted(dabba, SMALL_DISK, "up", *SIMULATED, "--data-dir", str(disk(dabba)), namespaces=("--mount",))
    assert started.returncode == 0, started.stderr
    inside = Path(f"/proc/{clusters.control_plane(dabba)}/root{disk(dabba)}")
    kubeconfig = dabba.home / "kubeconfig"
    kubeconfig.write_bytes((inside / "kubeconfig").read_bytes())
    kubectl = Kubectl(binaries["kubectl"], kubeconfig, dabba.home)
    large = dabba.home / "large"
    large.write_bytes(os.urandom(600_000))

    fill(inside / "filler")
    ran = kubectl.run("create", "configmap", "large", f"--from-file={large}")
    assert ran.status != 0
    assert "no space left" in ran.err, ran.err
    assert "free some space" in ran.err, ran.err
    kubectl("get", "namespaces")

    (inside / "filler").unlink()
    until("writes work again", lambda: kubectl.run("create", "configmap", "small", "--from-literal=a=b").status == 0)
    assert kubectl.run("get", "configmap", "large").status != 0, "what was refused is not there"
    dabba("down", "--data-dir", str(disk(dabba)))


def test_a_disk_without_room_for_a_start_is_not_called_damage(dabba: Dabba) -> None:
    said = restricted(dabba, TINY_DISK, "up", *SIMULATED, "--data-dir", str(disk(dabba)), namespaces=("--mount",))
    assert said.returncode == 1
    assert "no space left" in said.stderr.lower()
    assert "damaged" not in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize("key", ["ca.key", "ca.crt", "server.crt", "sa.key"])
def test_a_damaged_key_is_named_with_the_remedy_and_the_remedy_works(dabba: Dabba, key: str) -> None:
    dabba("up", *SIMULATED)
    dabba("down")
    pki = state(dabba).with_name("pki")
    (pki / key).write_text("not a key at all")
    said = refused(dabba, "up")
    assert f"a key or certificate in {pki} is damaged" in said
    shutil.rmtree(pki)
    dabba("up")
    assert "1 of 1 ready" in dabba("status")


def fill(path: Path) -> None:
    """Take all the room there is."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while file.write(b"\0" * size) == size:
                    pass
            except OSError:
                continue


def test_without_user_namespaces_the_remedy_is_said(dabba: Dabba) -> None:
    said = restricted(dabba, NO_NAMESPACES, "up")
    assert said.returncode == 1
    assert "sysctl -w user.max_user_namespaces" in said.stderr
    assert "`dabba up --nodes 0 --simulated-nodes 1`" in said.stderr


def test_without_user_namespaces_everything_but_process_pods_works(dabba: Dabba, binaries: dict[str, Path]) -> None:
    started = restricted(dabba, NO_NAMESPACES, "up", *SIMULATED)
    assert started.returncode == 0, started.stderr
    kubectl = Kubectl(binaries["kubectl"], dabba.kubeconfig(), dabba.home)
    until("the namespace is usable", lambda: kubectl.run("get", "serviceaccount", "default").status == 0)
    kubectl("create", "deployment", "web", "--image=web:1", "--replicas=3")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")


def test_a_second_start_finds_the_first_and_a_second_stop_has_nothing_to_do(dabba: Dabba) -> None:
    first = dabba("up", *SIMULATED)
    again = dabba("up")
    assert "already running" in again
    assert first.splitlines()[-2:] == again.splitlines()[-2:]
    assert "already running" in dabba("up", *SIMULATED)
    other = refused(dabba, "up", "--simulated-nodes", "2")
    assert "it runs already, with other options (simulated_nodes is 1, not 2)" in other
    assert "`dabba down --name default`" in other
    assert "is down" in dabba("down")
    assert "was not running" in dabba("down")


@pytest.fixture
def starting(dabba: Dabba) -> Iterator[subprocess.Popen[str]]:
    """`dabba up` with its control plane held before the API answers."""
    with command(dabba, "up", *SIMULATED) as started:
        record = dabba.home / "run/dabbawala"
        until("there is a record of the control plane", lambda: list(record.glob("*/controlplane.json")))
        os.kill(clusters.control_plane(dabba), signal.SIGSTOP)
        yield started


def command(dabba: Dabba, *words: str) -> subprocess.Popen[str]:
    """The command as a terminal starts it: Ctrl-C has its ordinary meaning, whatever the tests were started by."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "dabbawala.cli.main", *words],
        env=dabba.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def test_a_second_start_says_that_the_first_is_under_way(starting: subprocess.Popen[str], dabba: Dabba) -> None:
    assert "another command is starting it already" in refused(dabba, "up", *SIMULATED)
    assert "is starting" in dabba.run("status").stdout
    os.kill(clusters.control_plane(dabba), signal.SIGCONT)
    said, _ = starting.communicate(timeout=30)
    assert starting.returncode == 0
    assert "cluster default is up" in said
    assert "1 of 1 ready" in dabba("status")


def test_a_stop_ends_a_start_that_is_under_way(starting: subprocess.Popen[str], dabba: Dabba) -> None:
    assert "is down" in dabba("down")
    _, errors = starting.communicate(timeout=30)
    assert starting.returncode == 1
    assert "it was stopped while it was starting" in errors
    assert list((dabba.home / "run/dabbawala").iterdir()) == []
    assert "was not running" in dabba("down")


def test_a_start_whose_command_was_killed_is_met_by_the_next_one(starting: subprocess.Popen[str], dabba: Dabba) -> None:
    starting.kill()
    starting.wait()
    assert "is starting already, without the command that started it" in refused(dabba, "up", *SIMULATED)
    os.kill(clusters.control_plane(dabba), signal.SIGCONT)
    until("it is up", lambda: dabba.run("status").returncode == 0)
    assert "already running" in dabba("up")


def test_a_further_interrupt_does_not_break_off_the_clean_up(starting: subprocess.Popen[str], dabba: Dabba) -> None:
    held = clusters.control_plane(dabba)
    starting.send_signal(signal.SIGINT)
    starting.send_signal(signal.SIGINT)
    _, errors = starting.communicate(timeout=30)
    assert starting.returncode == 130
    assert errors.splitlines()[-1] == "interrupted"
    assert not Path(f"/proc/{held}").exists()
    assert list((dabba.home / "run/dabbawala").iterdir()) == []


WRONG_FLAGS = {
    "--nodes 99": "from 0 to 16",
    "--nodes -1": "from 0 to 16",
    "--nodes 0": "a cluster needs a node",
    "--nodes two": "not a valid integer",
    "--simulated-nodes -1": "not fewer than none",
    "--api-port 99999": "a port is from 1 to 65535",
    "--scrape-interval 0": "at least 0.1 s",
    "--cpu 0": "a quantity above 0",
    "--memory lots": "a quantity above 0",
    "--name two/parts": "lower-case letters, digits and '-'",
    "--name Not_A_Label": "lower-case letters, digits and '-'",
    "--data-dir /proc/nowhere": "choose another folder with --data-dir",
    "--no-such-flag": "No such option",
}


@pytest.mark.parametrize("flags", WRONG_FLAGS)
def test_wrong_flags_are_refused_in_a_sentence_and_start_nothing(dabba: Dabba, flags: str) -> None:
    assert WRONG_FLAGS[flags] in refused(dabba, "up", *flags.split(), status=2)
    assert not list(dabba.home.rglob("dabbawala/*/*")), "nothing is begun"


@pytest.mark.parametrize("said_before", ["", "API server ready", "controllers ready"])
def test_an_interrupted_start_leaves_nothing_running(process_pods: None, dabba: Dabba, said_before: str) -> None:
    starting = command(dabba, "up")
    assert starting.stdout
    if said_before:
        assert any(said_before in line for line in starting.stdout)
    else:
        until("it has begun", (state(dabba).parent / "logs/control-plane.log").exists)
    starting.send_signal(signal.SIGINT)
    _, errors = starting.communicate(timeout=30)
    assert starting.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert list((dabba.home / "run/dabbawala").iterdir()) == []
    assert dabba.run("status").returncode == 1
    dabba("up")


CRASHING = """
apiVersion: v1
kind: Pod
metadata: {name: crashing}
spec:
  containers:
  - {name: web, image: "crash:v1", imagePullPolicy: Never, command: [python3, -c, "import sys; sys.exit('no config')"]}
"""


def test_a_program_that_crashes_in_a_loop_is_started_ever_later_and_its_last_words_are_kept(
    process_pods: None, dabba: Dabba, binaries: dict[str, Path]
) -> None:
    folder = dabba.home / "crash"
    folder.mkdir()
    (folder / "Dockerfile").write_text('FROM debian:12-slim\nCMD ["sleep", "infinity"]\n')
    dabba("image", "build", str(folder), "-t", "crash:v1")
    dabba("up")
    kubectl = Kubectl(binaries["kubectl"], dabba.kubeconfig(), dabba.home)
    kubectl("create", "-f", "-", stdin=CRASHING)
    waiting = "jsonpath={.status.containerStatuses[0].state.waiting.reason}"
    until("it is held back", lambda: kubectl("get", "pod", "crashing", "-o", waiting) == "CrashLoopBackOff")
    described = kubectl("describe", "pod", "crashing")
    assert "Back-off restarting failed container" in described
    assert re.search(r"Last State: +Terminated\s+Reason: +Error\s+Exit Code: +1\b", described), described
    assert "no config" in kubectl("logs", "crashing", "--previous")
