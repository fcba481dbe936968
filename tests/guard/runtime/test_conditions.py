"""Falco's condition language: what is read, and what it means."""

from __future__ import annotations

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from dabbawala.guard.runtime import conditions, events, fields, syntax
from dabbawala.guard.runtime.events import Event, File, Peer
from dabbawala.guard.runtime.syntax import BadCondition, Check, Either, Every, Field, Not
from tests.guard.runtime import given

CAT = given.read("/etc/shadow", given.entered("cat", "/etc/shadow"))
CURL = given.connected("8.8.8.8", 443, given.program("curl", "https://x"))
SHELL = given.started(given.program("sh", "-c", "ls", tty=34816))


def holds(text: str, event: Event) -> bool:
    return conditions.compiled(syntax.parse(text))(event)


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("proc.name = cat", CAT),
        ('proc.name="cat"', CAT),
        ("proc.name == 'cat'", CAT),
        ("proc.name != dog", CAT),
        ("proc.name in (dog, cat)", CAT),
        ("not proc.name in (dog, cow)", CAT),
        ("proc.cmdline contains shadow and fd.name startswith /etc/", CAT),
        ("proc.cmdline icontains SHADOW", CAT),
        ("fd.name endswith dow", CAT),
        ("fd.directory = /etc and fd.filename = shadow", CAT),
        ("fd.name pmatch (/bin, /etc)", CAT),
        ("fd.name glob /etc/sh*", CAT),
        ("fd.name iglob /ETC/*", CAT),
        ('fd.name regex "/etc/s.*w"', CAT),
        ("evt.type in (open, openat) and evt.is_open_read = true", CAT),
        ("evt.type = openat2", CAT),
        ("proc.name exists and not proc.cwd exists", CAT),
        ("proc.pname = dabba-shim", CAT),
        ("tolower(proc.name) = cat and toupper(proc.name) = CAT", CAT),
        ("basename(fd.name) = shadow", CAT),
        ("proc.name = val(proc.exe)", CAT),
        ("fd.sport = 443 and fd.sport in (80, 443) and fd.sport > 80 and fd.sport <= 443", CURL),
        ("fd.sip = 8.8.8.8 and not fd.snet in ('10.0.0.0/8')", CURL),
        ('fd.net != "127.0.0.0/8"', CURL),
        ("fd.sip in (8.0.0.0/8)", CURL),
        ("fd.typechar = 4 and fd.l4proto = tcp and fd.type in (ipv4, ipv6)", CURL),
        ("fd.name contains 8.8.8.8:443", CURL),
        ("proc.tty != 0 and proc.aname in (nobody, python3) and proc.aname[2] = dabba-init", SHELL),
        ("container.id != host and k8s.ns.name = shop and k8s.pod.label[app] = web", SHELL),
        ("k8s.pod.label.app = web and container.image.tag = v1", SHELL),
        ("container.image.repository = registry.example.com/shop/web", SHELL),
        ("proc.cmdline bcontains 6c73", SHELL),
        ("evt.dir = <", SHELL),
    ],
)
def test_a_condition_holds(text: str, event: Event) -> None:
    assert holds(text, event)
    assert not holds(f"not ({text})", event)


@pytest.mark.parametrize("operator", ["=", "!=", "contains", "in", "startswith", "intersects", "pmatch"])
def test_a_comparison_with_what_has_no_value_is_false_whatever_the_operator(operator: str) -> None:
    nameless = given.read("/etc/shadow", None)
    assert not holds(f"proc.name {operator} (x)" if operator in syntax.LISTED else f"proc.name {operator} x", nameless)
    assert not holds("proc.tty < 5", nameless)
    assert holds("not proc.name exists", nameless)


def test_and_binds_closer_than_or_and_not_closest() -> None:
    a, b, c = (Check(Field("proc.name"), "=", (name,)) for name in "abc")
    assert syntax.parse("proc.name=a or not proc.name=b and proc.name=c") == Either((a, Every((Not(b), c))))
    assert syntax.parse("(proc.name=a or proc.name=b) and proc.name=c") == Every((Either((a, b)), c))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "ends in the middle"),
        ("proc.name =", "ends in the middle"),
        ("proc.name = a b", "'b' stands where"),
        ("proc.name like a", "no operator"),
        ("(proc.name = a", "expected ')'"),
        ("proc.name in (a b)", "expected ','"),
        ("proc.name = (", "stands where a value belongs"),
        ("not " * 200 + "proc.name = a", "nested deeper"),
        ("(" * 200 + "proc.name = a" + ")" * 200, "nested deeper"),
        ('proc.name = "open', "cannot read"),
        ("a" * 70_000, "longer than"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, complaint: str) -> None:
    with pytest.raises(BadCondition, match=complaint.replace("(", r"\(").replace(")", r"\)")):
        syntax.parse(text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("proc.tty > many", "no number"),
        ("fd.sip in (10.0.0.0/99)", "no network"),
        ("proc.name regex '('", "regex"),
        ("proc.cmdline bcontains xyz", "hexadecimal"),
        ("proc.name contains val(proc.exe)", "another field"),
    ],
)
def test_what_can_be_read_but_not_be_meant_is_said(text: str, complaint: str) -> None:
    with pytest.raises(BadCondition, match=complaint):
        conditions.compiled(syntax.parse(text))


def test_a_field_of_falcos_that_nothing_delivers_is_told_from_one_that_does_not_exist() -> None:
    with pytest.raises(fields.NotDelivered, match=r"fd\.cgroup"):
        conditions.compiled(syntax.parse("fd.cgroup = x"))
    with pytest.raises(fields.NotDelivered, match=r"b64\(proc\.name\)"):
        conditions.compiled(syntax.parse("b64(proc.name) = x"))
    with pytest.raises(fields.NoSuchField, match=r"process\.name"):
        conditions.compiled(syntax.parse("process.name = x"))


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("evt.type = execve and proc.name = a", {"execve"}),
        ("evt.type in (open, openat) or evt.type = connect", {"open", "openat", "connect"}),
        ("(evt.type = execve or proc.name = a) and evt.type = execve", {"execve"}),
        ("evt.type = execve and not evt.type = execve", set()),
        ("not (evt.type != connect)", {"connect"}),
    ],
)
def test_the_event_types_of_a_condition_are_read_off_it(text: str, types: set[str]) -> None:
    assert conditions.types(syntax.parse(text)) == types


@pytest.mark.parametrize("text", ["proc.name = a", "not evt.type = open", "evt.type = open or proc.name = a"])
def test_a_condition_may_hold_for_any_type(text: str) -> None:
    assert conditions.types(syntax.parse(text)) is None


def test_an_emptied_file_was_opened_with_the_flag_for_it() -> None:
    event = Event(events.OPEN, given.NOON, file=File("/var/log/a.log", written=True, emptied=True))
    assert holds("evt.is_open_write=true and evt.arg.flags contains O_TRUNC", event)


def test_a_listener_is_known_by_its_own_port() -> None:
    event = Event(events.LISTEN, given.NOON, peer=Peer("tcp", "0.0.0.0", 4444))
    assert holds("evt.type = listen and fd.sport = 4444 and fd.lport = 4444 and fd.name = 0.0.0.0:4444", event)


words = st.sampled_from(["proc.name", "and", "or", "not", "(", ")", ",", "=", "in", "a", '"b c"', "exists", "evt.type"])


@for_all(st.lists(words, max_size=12))
def test_whatever_stands_there_it_is_read_or_refused(parts: list[str]) -> None:
    try:
        tree = syntax.parse(" ".join(parts))
    except BadCondition:
        return
    assert list(conditions.checks(tree)) is not None
    conditions.types(tree)
