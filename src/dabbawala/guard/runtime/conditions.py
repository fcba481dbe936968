"""Conditions as trees to conditions as Python functions, and what can be said of them without an event. Pure.

A comparison with a field that has no value is false, whatever the operator, as in Falco; `not` in front of it is
therefore true. Source: falcosecurity/libs, sinsp_filter_check::compare.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, reduce
from typing import assert_never

import re2

from dabbawala.guard.runtime import fields
from dabbawala.guard.runtime.events import Event
from dabbawala.guard.runtime.fields import Value
from dabbawala.guard.runtime.syntax import NUMERIC, BadCondition, Check, Either, Every, Field, Named, Not, Tree

Condition = Callable[[Event], bool]
Test = Callable[[Value], bool]

EVENT_TYPE = Field("evt.type")
_NETWORKS = frozenset(("fd.net", "fd.snet", "fd.rnet", "fd.cnet", "fd.lnet", "fd.sip", "fd.rip", "fd.ip", "fd.lip"))
ADDRESSES_REMEMBERED = 4_096


def compiled(tree: Tree) -> Condition:
    """A function of an event. The tree has no macros left. Raises BadCondition, NotDelivered, NoSuchField."""
    if isinstance(tree, Check):
        return _check(tree)
    if isinstance(tree, Not):
        inner = compiled(tree.of)
        return lambda event: not inner(event)
    if isinstance(tree, Every):
        return reduce(_both, [compiled(part) for part in tree.of])
    if isinstance(tree, Either):
        return reduce(_one_of, [compiled(part) for part in tree.of])
    if isinstance(tree, Named):
        raise BadCondition(f"{tree.name} is no macro")
    assert_never(tree)


def _both(left: Condition, right: Condition) -> Condition:
    return lambda event: left(event) and right(event)


def _one_of(left: Condition, right: Condition) -> Condition:
    return lambda event: left(event) or right(event)


def checks(tree: Tree) -> Iterator[Check]:
    """All comparisons in it."""
    if isinstance(tree, Check):
        yield tree
    elif isinstance(tree, Not):
        yield from checks(tree.of)
    elif isinstance(tree, Every | Either):
        for part in tree.of:
            yield from checks(part)


def types(tree: Tree) -> frozenset[str] | None:
    """The event types for which it may hold, Falco's spelling; None when that is not restricted."""
    found, excluded = _types(tree)
    return None if excluded else found


def _types(tree: Tree) -> tuple[frozenset[str], bool]:
    """A set of names, and whether it is the set of those that are *excluded*."""
    if isinstance(tree, Check) and tree.field == EVENT_TYPE and tree.operator in ("=", "==", "in"):
        return frozenset(str(value) for value in tree.values), False
    if isinstance(tree, Check) and tree.field == EVENT_TYPE and tree.operator == "!=":
        return frozenset(str(value) for value in tree.values), True
    if isinstance(tree, Not) and any(check.field == EVENT_TYPE for check in checks(tree.of)):
        names, excluded = _types(tree.of)
        return names, not excluded
    if isinstance(tree, Every):
        return reduce(_intersection, map(_types, tree.of))
    if isinstance(tree, Either):
        return reduce(_union, map(_types, tree.of))
    return frozenset(), True


def _intersection(a: tuple[frozenset[str], bool], b: tuple[frozenset[str], bool]) -> tuple[frozenset[str], bool]:
    (left, left_out), (right, right_out) = a, b
    if left_out and right_out:
        return left | right, True
    if left_out:
        return right - left, False
    return (left - right, False) if right_out else (left & right, False)


def _union(a: tuple[frozenset[str], bool], b: tuple[frozenset[str], bool]) -> tuple[frozenset[str], bool]:
    (left, left_out), (right, right_out) = a, b
    if left_out and right_out:
        return left & right, True
    if left_out:
        return left - right, True
    return (right - left, True) if right_out else (left | right, False)


def _check(check: Check) -> Condition:
    if check.field == EVENT_TYPE:
        return _type_check(check)
    get = fields.getter(check.field)
    if check.operator == "exists":
        return lambda event: get(event) is not None
    others = [value for value in check.values if isinstance(value, Field)]
    if others:
        return _between_fields(check, others[0])
    test = _test(check, [str(value) for value in check.values])

    def holds(event: Event) -> bool:
        value = get(event)
        return value is not None and test(value)

    return holds


def _type_check(check: Check) -> Condition:
    """Calls that do the same are one event: it is of each of their types."""
    wanted = {str(value) for value in check.values}
    ours = {kind for kind in fields.SYSCALL_TYPES if wanted & {kind, *fields.ALIASES.get(kind, ())}}
    if check.operator in ("=", "==", "in"):
        return lambda event: event.type in ours
    if check.operator == "!=":
        return lambda event: event.type not in ours
    if check.operator == "exists":
        return lambda event: True
    test = _test(check, sorted(wanted))
    return lambda event: test(event.type)


def _between_fields(check: Check, other: Field) -> Condition:
    left, right = fields.getter(check.field), fields.getter(other)
    if check.operator not in ("=", "==", "!="):
        raise BadCondition(f"{check.field} {check.operator}: another field can only be compared with = and !=")
    equal = check.operator != "!="

    def holds(event: Event) -> bool:
        one, two = left(event), right(event)
        return one is not None and two is not None and (fields.shown(one) == fields.shown(two)) is equal

    return holds


def _test(check: Check, values: list[str]) -> Test:
    operator, value = check.operator, values[0] if values else ""
    if operator in NUMERIC:
        return _numeric(check, value)
    if operator in ("=", "==", "!=", "in", "intersects"):
        return _membership(check, values)
    if operator == "pmatch":
        return _each(lambda text: any(_is_below(text, prefix) for prefix in values))
    return _each(_textual(check, value))


def _each(test: Callable[[str], bool]) -> Test:
    """Of a field with several values, one that passes is enough."""

    def holds(value: Value) -> bool:
        if isinstance(value, tuple):
            return any(test(one) for one in value)
        return test(fields.shown(value))

    return holds


def _is_below(path: str, prefix: str) -> bool:
    prefix = prefix.rstrip("/")
    return path == prefix or path.startswith(prefix + "/")


def _numeric(check: Check, value: str) -> Test:
    try:
        bound = float(value)
    except ValueError:
        raise BadCondition(f"{check.field} {check.operator} {value!r}: that is no number") from None
    compare: dict[str, Callable[[float], bool]] = {
        "<": lambda number: number < bound,
        "<=": lambda number: number <= bound,
        ">": lambda number: number > bound,
        ">=": lambda number: number >= bound,
    }
    test = compare[check.operator]
    return lambda found: isinstance(found, int | float) and test(float(found))


def _membership(check: Check, values: list[str]) -> Test:
    wanted = frozenset(value.lower() if value.lower() in ("true", "false") else value for value in values)
    test = _address_test(wanted) if check.field.name in _NETWORKS else wanted.__contains__
    if check.operator == "!=":
        return lambda value: not test(fields.shown(value))
    if check.operator == "in" and not check.field.name.startswith("proc.a"):  # of ancestors, one is enough
        return lambda value: all(map(test, value)) if isinstance(value, tuple) else test(fields.shown(value))
    return _each(test)


def _address_test(wanted: Iterable[str]) -> Callable[[str], bool]:
    plain = frozenset(value for value in wanted if "/" not in value)
    networks = []
    for value in wanted:
        if "/" in value:
            try:
                networks.append(ipaddress.ip_network(value, strict=False))
            except ValueError:
                raise BadCondition(f"{value!r} is no network; write it like 10.0.0.0/8") from None

    @lru_cache(maxsize=ADDRESSES_REMEMBERED)
    def is_wanted(address: str) -> bool:
        if address in plain:
            return True
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in networks)

    return is_wanted


def _textual(check: Check, value: str) -> Callable[[str], bool]:
    lowered = value.lower()
    operator = check.operator
    if operator in ("glob", "iglob"):
        pattern = re.compile(fnmatch.translate(lowered if operator == "iglob" else value))
        return lambda text: pattern.match(text.lower() if operator == "iglob" else text) is not None
    if operator == "regex":
        return _pattern(check, value)
    return {
        "contains": lambda text: value in text,
        "icontains": lambda text: lowered in text.lower(),
        "startswith": lambda text: text.startswith(value),
        "endswith": lambda text: text.endswith(value),
        "bcontains": _bytes(check, value, whole=True),
        "bstartswith": _bytes(check, value, whole=False),
    }[operator]


def _bytes(check: Check, value: str, *, whole: bool) -> Callable[[str], bool]:
    if not check.operator.startswith("b"):
        return lambda _: False
    try:
        wanted = bytes.fromhex(value)
    except ValueError:
        raise BadCondition(f"{check.field} {check.operator} {value!r}: hexadecimal digits belong here") from None
    if whole:
        return lambda text: wanted in text.encode(errors="surrogateescape")
    return lambda text: text.encode(errors="surrogateescape").startswith(wanted)


def _pattern(check: Check, value: str) -> Callable[[str], bool]:
    try:
        pattern = re2.compile(value)
    except re2.error as wrong:
        raise BadCondition(f"{check.field} regex {value!r}: {wrong}") from wrong
    return lambda text: pattern.fullmatch(text) is not None
