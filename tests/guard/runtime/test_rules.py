"""Falco's rule files: several files that extend one another, and what is wrong with one said with its line."""

from __future__ import annotations

import pytest

from dabbawala.guard.runtime import rules
from dabbawala.guard.runtime.rules import BadRules
from tests.guard.runtime import given
from tests.guard.runtime.given import built, said

# In the idioms of Falco's own files: a macro that never holds, items quoted twice, exceptions in three shapes.
SAMPLE = """
- required_engine_version: 0.31.0
- list: shells
  items: [bash, sh]
- list: more_shells
  items: [shells, '"zsh"']
- macro: never_true
  condition: (evt.num=0)
- macro: spawned
  condition: (evt.type in (execve, execveat) and evt.dir=<)
- macro: shell
  condition: proc.name in (more_shells)
- macro: allowed
  condition: (never_true)
- rule: Shell started
  desc: >
    A shell
    was started
  condition: spawned and shell and container.id != host and not allowed
  exceptions:
    - name: by_parent
      fields: [proc.pname, proc.tty]
      comps: [=, in]
      values:
        - [cron, [0, 7]]
    - name: by_image
      fields: container.image.repository
      values: [registry.example.com/tools/shell, "registry.example.com/tools/debug"]
  output: Shell (user=%user.name proc=%proc.cmdline nothing=%fd.cgroup %container.id)
  priority: NOTICE
  tags: [shell]
"""
BASH = given.started(given.program("bash", "-i"))


def test_lists_macros_and_exceptions_are_put_together() -> None:
    [rule] = built(SAMPLE)
    assert (rule.name, rule.description, rule.priority) == ("Shell started", "A shell was started", "Notice")
    assert rule.types == {"execve"}
    assert said((rule,), BASH)
    assert said((rule,), given.started(given.program("zsh")))
    assert not said((rule,), given.started(given.program("ls")))
    assert not said((rule,), given.started(given.program("bash"), container=None, workload=None))


def test_each_row_of_an_exception_excepts_only_what_meets_all_of_it() -> None:
    found = built(SAMPLE)
    cron = given.program("cron")
    assert not said(found, given.started(given.program("bash", parent=cron, tty=7)))
    assert said(found, given.started(given.program("bash", parent=cron, tty=9)))
    tool = given.Workload("shop", "p", "c", image="registry.example.com/tools/debug:v1")
    assert not said(found, given.started(given.program("bash"), workload=tool))


def test_an_output_fills_in_its_fields_and_says_na_for_what_is_not_there() -> None:
    [alert] = said(built(SAMPLE), BASH)
    assert alert.output == "Shell (user=root proc=bash -i nothing=<NA> uid-1/web/0)"


@pytest.mark.parametrize(
    ("extension", "bash", "fish"),
    [
        ("- list: shells\n  items: [fish]\n  append: true", True, True),
        ("- list: shells\n  items: [fish]\n  override: {items: append}", True, True),
        ("- list: shells\n  items: [fish]\n  override: {items: replace}", False, True),
        ("- list: shells\n  items: [fish]", False, True),
        ("- macro: shell\n  condition: or proc.name = fish\n  append: true", True, True),
        ("- macro: allowed\n  condition: (proc.name = bash)", False, False),
        ("- rule: Shell started\n  condition: and proc.name != bash\n  append: true", False, False),
        ("- rule: Shell started\n  condition: proc.name = fish\n  override: {condition: replace}", False, True),
        ("- rule: Shell started\n  enabled: false", False, False),
        ("- rule: Shell started\n  enabled: false\n  override: {enabled: replace}", False, False),
        (
            "- rule: Shell started\n  exceptions:\n  - {name: by_parent, values: [[python3, 0]]}\n"
            "  override: {exceptions: append}",
            False, False,
        ),
    ],
)  # fmt: skip
def test_a_later_file_extends_replaces_or_switches_off(extension: str, bash: bool, fish: bool) -> None:
    found = built(f"{SAMPLE}\n{extension}\n")
    assert bool(said(found, BASH)) is bash
    assert bool(said(found, given.started(given.program("fish")))) is fish


def test_what_is_appended_to_a_text_stands_behind_it() -> None:
    more = "- rule: Shell started\n  output: '[%proc.tty]'\n  tags: [extra]\n  override: {output: append, tags: append}"
    [rule] = built(f"{SAMPLE}\n{more}")
    assert rule.output.endswith("%container.id) [%proc.tty]")
    assert rule.tags == ("shell", "extra")


@pytest.mark.parametrize(
    ("condition", "lacks"),
    [
        ("evt.type = execve and proc.vpid = 1", "no source delivers proc.vpid"),
        ("evt.type in (setns, unshare)", "no source sees setns, unshare"),
        ("evt.type = open and fd.sip.name = x", "no source delivers fd.sip.name"),
    ],
)
def test_a_rule_that_asks_for_what_nothing_sees_says_so_and_never_pretends(condition: str, lacks: str) -> None:
    [rule] = built(f"- rule: r\n  desc: d\n  output: o\n  priority: ERROR\n  condition: {condition}")
    assert not rule.covered
    assert rule.lacks == lacks


def test_a_rule_of_another_source_is_not_covered() -> None:
    [rule] = built("- rule: r\n  desc: d\n  output: o\n  priority: INFO\n  source: okta\n  condition: proc.name = a")
    assert rule.lacks == "events of source okta do not come here"


def test_a_rule_that_is_seen_only_in_part_names_the_rest() -> None:
    [rule] = built("- rule: r\n  desc: d\n  output: o\n  priority: INFO\n  condition: evt.type in (accept, connect)")
    assert rule.covered
    assert rule.unseen == ("accept",)


MINIMAL = "- rule: r\n  desc: d\n  output: o\n  priority: INFO\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("rule: x", "rules.yaml: a rule file is a list"),
        ("- just words", "rules.yaml:1: an entry is a mapping"),
        ("- {something: else}", "rules.yaml:1: an entry needs one of list, macro, rule; this has something"),
        ("- [", "rules.yaml: while parsing"),
        ("\x00", "rules.yaml"),
        ("- list: a\n  items: b", "rules.yaml:1: list 'a' needs items"),
        (MINIMAL, "rules.yaml:1: rule 'r' needs a condition"),
        (f"\n\n{MINIMAL}  condition: proc.name", "rules.yaml:3: condition: it ends in the middle"),
        (f"{MINIMAL}  condition: nobody", "'nobody' is neither a field nor a macro"),
        (f"{MINIMAL}  condition: process.name = a", "rule 'r': process.name is no field"),
        (f"{MINIMAL}  condition: m\n- macro: m\n  condition: n\n- macro: n\n  condition: m", "uses itself"),
        (f"{MINIMAL}  condition: m\n- macro: m\n  condition: a b", r"macro 'm' \(rules.yaml:6\)"),
        ("- rule: r\n  desc: d\n  output: o\n  priority: LOUD\n  condition: proc.name = a", "priority 'LOUD' is none"),
        ("- rule: r\n  desc: d\n  priority: INFO\n  condition: proc.name = a", "rule 'r' lacks output"),
        ("- list: a\n  append: true\n  items: [b]", "is extended here, but no earlier file defines it"),
        ("- rule: a\n  enabled: true", "is switched here, but no earlier file defines it"),
        (f"{MINIMAL}  condition: proc.name = a\n  exceptions: [{{name: x}}]", "an exception needs a name and fields"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(BadRules, match=complaint):
        built(text)


def test_a_file_that_is_too_large_is_not_read() -> None:
    with pytest.raises(BadRules, match="more than a rule file may have"):
        rules.read(b"#" * (rules.FILE_BYTES_MAX + 1), "rules.yaml")


def test_an_empty_file_has_no_rules() -> None:
    assert built("# nothing\n") == ()
