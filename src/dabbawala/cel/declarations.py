"""What the front end declares: functions with typed overloads, as Kubernetes' libraries declare them.

A line is `name: overload_id (argument, …) -> result`, the receiver of a member function before a dot.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dabbawala.cel.types import declaration, split

_LINE = re.compile(r"(\S+) (?:(\S.*?)\.)?([\w.]+)\((.*)\) -> (.+)")

STRINGS = """
string_char_at_int string.charAt(int) -> string
list_join list<string>.join() -> string
list_join_string list<string>.join(string) -> string
string_lower_ascii string.lowerAscii() -> string
string_upper_ascii string.upperAscii() -> string
string_replace_string_string string.replace(string, string) -> string
string_replace_string_string_int string.replace(string, string, int) -> string
string_split_string string.split(string) -> list<string>
string_split_string_int string.split(string, int) -> list<string>
string_substring_int string.substring(int) -> string
string_substring_int_int string.substring(int, int) -> string
string_trim string.trim() -> string
strings_quote strings.quote(string) -> string
"""
REGEX = """
string_find_string string.find(string) -> string
string_find_all_string string.findAll(string) -> list<string>
string_find_all_string_int string.findAll(string, int) -> list<string>
"""


def configuration(version: str, extra: Sequence[tuple[str, tuple[str, ...], str, bool]]) -> dict[str, Any]:
    """The front end's configuration for a server's version, without variables."""
    functions: dict[str, list[dict[str, Any]]] = {}
    for line in (STRINGS + REGEX).split("\n"):
        if line:
            _declare(functions, line)
    for number, (name, arguments, result, receiver) in enumerate(extra):
        _add(functions, name, f"extra_{number}", arguments, result, receiver)
    return {
        "extensions": [{"name": "optional", "version": 1}],
        "functions": [{"name": name, "overloads": overloads} for name, overloads in functions.items()],
    }


def _declare(functions: dict[str, list[dict[str, Any]]], line: str) -> None:
    found = _LINE.fullmatch(line)
    if found is None:
        raise ValueError(f"not a declaration: {line}")
    id, receiver, name, arguments, result = found.groups()
    if receiver is not None and receiver.islower() and receiver in ("strings", "sets"):
        name, receiver = f"{receiver}.{name}", None
    listed = tuple(split(arguments)) if arguments else ()
    _add(functions, name, id, (receiver, *listed) if receiver else listed, result, receiver is not None)


def _add(
    functions: dict[str, list[dict[str, Any]]], name: str, id: str, arguments: Sequence[str], result: str, member: bool
) -> None:
    overload: dict[str, Any] = {"id": id, "return": declaration(result)}
    types = [declaration(argument) for argument in arguments]
    if member:
        overload["target"] = types.pop(0)
    overload["args"] = types
    functions.setdefault(name, []).append(overload)
