"""Falco's own events, taken in: what they become, and what is refused."""

from __future__ import annotations

import orjson
import pytest

from dabbawala.guard.runtime import reported
from dabbawala.guard.runtime.reported import BadEvent

EVENT = {
    "hostname": "ip-10-0-1-7",
    "output": "16:31:56.746609046: Error File below a known binary directory opened for writing (user=root)",
    "output_fields": {"k8s.ns.name": "shop", "k8s.pod.name": "web-0", "k8s.pod.uid": "u", "proc.name": "touch"},
    "priority": "Error",
    "rule": "Write below binary dir",
    "source": "syscall",
    "tags": ["filesystem", "mitre_persistence"],
    "time": "2026-01-01T16:31:56.746609046Z",
}


def test_an_event_becomes_an_alert_about_its_pod() -> None:
    alert = reported.read(orjson.dumps(EVENT))
    assert (alert.rule, alert.priority, alert.hostname) == ("Write below binary dir", "Error", "ip-10-0-1-7")
    assert alert.output == "File below a known binary directory opened for writing (user=root)"
    assert alert.tags == ("filesystem", "mitre_persistence", "RUN-05")
    assert alert.regarding["metadata"] == {"name": "web-0", "namespace": "shop", "uid": "u"}
    assert alert.to_json()["time"] == "2026-01-01T16:31:56.746609000Z"


@pytest.mark.parametrize(
    ("rule", "check"),
    [
        ("Detect crypto miners using the Stratum protocol", "RUN-01"),
        ("Read sensitive file untrusted", "RUN-02"),
        ("Search Private Keys or Passwords", "RUN-02"),
        ("Contact K8S API Server From Container", "RUN-03"),
        ("Redirect STDOUT/STDIN to Network Connection in Container", "RUN-03"),
        ("Terminal shell in container", "RUN-04"),
        ("Drop and execute new binary in container", "RUN-05"),
        ("Fileless execution via memfd_create", "RUN-05"),
        ("Detect release_agent File Container Escapes", "RUN-06"),
        ("PTRACE attached to process", "RUN-06"),
        ("Clear Log Activities", "RUN-07"),
        ("Attach/Exec Pod", "RUN-09"),
    ],
)
def test_falcos_rules_belong_to_the_checks(rule: str, check: str) -> None:
    assert reported.ids(rule, ()) == (check,)


def test_a_rule_nobody_has_heard_of_belongs_to_none_unless_it_says_so() -> None:
    assert reported.ids("Night shift", ()) == ()
    assert reported.ids("Crypto night shift", ("RUN-04",)) == ("RUN-04",)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"{", "not JSON"),
        (b"[]", "is an object with rule"),
        (b'{"rule": 1}', "is an object with rule"),
        (b'{"rule": "a", "time": "yesterday"}', "'yesterday' is none"),
        (b'"' + b"a" * reported.EVENT_BYTES_MAX + b'"', "more than an event may have"),
    ],
)
def test_what_is_no_event_is_refused(body: bytes, complaint: str) -> None:
    with pytest.raises(BadEvent, match=complaint):
        reported.read(body)


def test_what_an_event_leaves_out_is_not_made_up() -> None:
    alert = reported.read(b'{"rule": "a", "time": "2026-01-01T00:00:00Z", "output_fields": 5, "priority": "Loud"}')
    assert (alert.priority, alert.regarding, dict(alert.output_fields)) == ("Warning", {}, {})
