"""What the sieve drops, no rule would have held for: on random conditions and on the shipped rules."""

from __future__ import annotations

from hypothesis import given as for_all
from hypothesis import strategies as st

from dabbawala.guard.runtime import events, main, rules
from dabbawala.guard.runtime.events import File
from dabbawala.guard.runtime.sieve import Sieve
from tests.guard.runtime import given

PATHS = ("/etc/shadow", "/var/log/a.log", "/app/main.py", "/root/.ssh/id_rsa", "/usr/lib/x.so")
checks = st.sampled_from(
    [
        "fd.name = /etc/shadow", "fd.name startswith /var/log/", "fd.filename endswith .py", "fd.directory = /root",
        "evt.is_open_read = true", "evt.is_open_write = true", "evt.arg.flags contains O_TRUNC", "evt.type = unlink",
        "evt.type in (open, rename)", "proc.name = cat", "k8s.ns.name = shop", "not proc.cwd exists", "fd.typechar = f",
    ]
)  # fmt: skip
conditions = st.recursive(
    checks,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]} and {pair[1]})"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]} or {pair[1]})"),
        inner.map(lambda one: f"not ({one})"),
    ),
    max_leaves=6,
)
files = st.builds(File, path=st.sampled_from(PATHS), read=st.booleans(), written=st.booleans(), emptied=st.booleans())
kinds = st.sampled_from([events.OPEN, events.UNLINK, events.RENAME])


@for_all(conditions, kinds, files, st.sampled_from(["cat", "sh"]))
def test_what_the_sieve_drops_no_rule_would_have_held_for(condition: str, kind: str, file: File, name: str) -> None:
    found = rules.build(
        [rules.Item("r", "rule", "r", {"condition": condition, "desc": "d", "output": "o", "priority": "INFO"})]
    )
    event = given.happened(kind, given.program(name), file=file)
    if given.said(found, event):
        sieve = Sieve(found)
        assert sieve.may_matter(file.path)
        assert sieve.matters(kind, file)


def test_most_of_what_programs_open_falls_through_at_once() -> None:
    sieve = Sieve(main.load(main.Settings()))
    for path in ("/app/main.py", "/tmp/upload-1", "/data/db/base/1/2", "/etc/resolv.conf", "/usr/lib/libc.so.6"):
        assert not sieve.may_matter(path), path
    assert not sieve.matters(events.OPEN, File("/var/log/access.log", written=True))
    assert sieve.matters(events.OPEN, File("/var/log/access.log", written=True, emptied=True))
    assert sieve.matters(events.OPEN, File("/etc/shadow", read=True))
    assert sieve.matters(events.UNLINK, File("/var/log/access.log"))
