"""What an alert says, in Falco's form; and that one act gives one alert."""

from __future__ import annotations

from dataclasses import replace

import orjson

from dabbawala.guard.runtime import sinks
from dabbawala.guard.runtime.engine import REPEAT_SECONDS, Engine
from dabbawala.guard.runtime.events import INFERRED
from tests.guard.runtime import given

RULE = """
- rule: Shell
  desc: A shell
  condition: evt.type = execve and proc.name = sh
  output: Shell (command=%proc.cmdline pod=%k8s.pod.name ancestors=%proc.aname)
  priority: CRITICAL
  tags: [RUN-04, process]
"""
EVENT = given.started(given.program("sh", "-c", "ls"))


def test_an_alert_is_falcos_json() -> None:
    [alert] = given.said(given.built(RULE), EVENT)
    output = "Shell (command=sh -c ls pod=web-0 ancestors=(python3,dabba-init,dabba-shim))"
    assert orjson.loads(sinks.line(alert)) == {
        "hostname": "node-1",
        "output": f"12:00:00.000000000: Critical {output}",
        "output_fields": {
            "proc.cmdline": "sh -c ls",
            "proc.aname": ["python3", "dabba-init", "dabba-shim"],
            "k8s.pod.name": "web-0",
            "k8s.ns.name": "shop",
            "container.id": "uid-1/web/0",
            "container.name": "web",
            "evt.time": f"{given.NOON:.9f}",
            "dabba.attribution": "exact",
        },
        "priority": "Critical",
        "rule": "Shell",
        "source": "syscall",
        "tags": ["RUN-04", "process"],
        "time": "2026-01-01T12:00:00.000000000Z",
    }
    assert alert.ids == ("RUN-04",)
    assert alert.sentence == output, "the rule is named once"
    assert replace(alert, rule="Odd").sentence == f"Odd: {output}"
    [guess] = given.said(given.built(RULE), replace(EVENT, attribution=INFERRED))
    assert guess.sentence == f"{output} - the process is a guess", "nobody is accused by a guess"
    assert alert.regarding == given.POD


def test_what_two_sources_saw_is_one_alert_and_what_happens_again_another() -> None:
    engine = Engine(given.built(RULE))
    assert len(engine.evaluate(EVENT)) == 1
    assert not engine.evaluate(replace(EVENT, at=EVENT.at + REPEAT_SECONDS / 2, source="another"))
    assert engine.evaluate(replace(EVENT, at=EVENT.at + 2 * REPEAT_SECONDS))
    assert engine.evaluate(_of(201))
    assert engine.repeated == 1
    assert engine.fired == {"Shell": 3}


def _of(pid: int) -> given.Event:
    process = given.program("sh")
    process.pid = pid
    return given.started(process)


def test_a_command_line_cannot_steer_a_terminal_or_break_the_line() -> None:
    [alert] = given.said(given.built(RULE), given.started(given.program("sh", "-c", "a\n\x1b[2Jb")))
    assert alert.output.startswith("Shell (command=sh -c a\\n\\x1b[2Jb pod=")
    assert sinks.line(alert).count(b"\n") == 1


def test_rules_below_the_least_priority_are_not_held() -> None:
    engine = Engine(given.built(RULE.replace("CRITICAL", "NOTICE")), least="Warning")
    assert not engine.wants("execve")
    assert not engine.evaluate(EVENT)
