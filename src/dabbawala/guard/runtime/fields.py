"""Looking up the fields that rules speak of. Pure.

A field that is Falco's but not here is no error in a rule: such a rule is listed as not covered, with the field as the
reason. What would be wrong is to read it as "no value", because then the rule would look active and never fire.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from dabbawala.guard.runtime import events
from dabbawala.guard.runtime.events import Event
from dabbawala.guard.runtime.field_table import AUDITS as AUDITS
from dabbawala.guard.runtime.field_table import FIELDS, Known
from dabbawala.guard.runtime.field_table import SYSCALL_TYPES as SYSCALL_TYPES
from dabbawala.guard.runtime.field_table import Value as Value
from dabbawala.guard.runtime.field_table import shown as shown
from dabbawala.guard.runtime.syntax import Field

Getter = Callable[[Event], Value]

ALIASES = {
    events.EXECVE: ("execve", "execveat"),
    events.OPEN: ("open", "openat", "openat2"),
    events.UNLINK: ("unlink", "unlinkat"),
    events.RENAME: ("rename", "renameat", "renameat2"),
}
"""Calls that do the same are one event here; it is of each of these types."""

CLASSES = frozenset(
    (
        "evt", "proc", "thread", "user", "group", "container", "fd", "fs", "k8s", "syslog", "ka", "json", "jevt",
        "mesos", "span", "gen", "dabba",
    )
)  # fmt: skip
"""What may stand before the first dot. Anything else is a mistake in the rule."""


class NotDelivered(Exception):
    """The field is Falco's, and this detector has no source for it."""


class NoSuchField(Exception):
    """No field is called that; the message says so."""


def types_of(field: Field) -> frozenset[str]:
    """The events that can have the field. Raises NotDelivered, NoSuchField."""
    return _known(field).types


def getter(field: Field) -> Getter:
    """Raises NotDelivered, NoSuchField."""
    read, argument = _known(field).get, field.argument
    found: Getter = lambda event: read(event, argument)  # noqa: E731 - annotated, and closed over
    for transformer in field.through:
        found = _through(transformer, found)
    return found


def _known(field: Field) -> Known:
    known = FIELDS.get(field.name)
    if known is None and field.name.startswith("evt.arg."):
        known = FIELDS.get(f"evt.arg[{field.name.removeprefix('evt.arg.')}]")
    if known is None and field.name in ("evt.arg", "evt.rawarg"):
        known = FIELDS.get(f"evt.arg[{field.argument}]")
    if known is not None and not set(field.through) - {"tolower", "toupper", "basename", "len"}:
        return known
    if field.name.partition(".")[0] in CLASSES:
        raise NotDelivered(str(field))
    raise NoSuchField(f"{field} is no field")


def _through(transformer: str, read: Getter) -> Getter:
    def applied(event: Event) -> Value:
        value = read(event)
        return None if value is None else _transformed(transformer, value)

    return applied


def _transformed(transformer: str, value: Value) -> Value:
    text = shown(value)
    if transformer == "basename":
        return posixpath.basename(text)
    if transformer == "len":
        return len(value) if isinstance(value, tuple) else len(text)
    return text.lower() if transformer == "tolower" else text.upper()
