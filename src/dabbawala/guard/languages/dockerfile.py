"""A Dockerfile as plain data: its stages and instructions, and the shell commands of those that run some.

Pure. Source: Dockerfile reference (BuildKit frontend 1.x): parser directives, continuation lines, here-documents.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from dabbawala.apimachinery.meta import Object
from dabbawala.guard.languages import shell

INSTRUCTIONS_MAX = 2000
"""Instructions of one file that are looked at."""

_ESCAPE = re.compile(r"#\s*escape\s*=\s*(\S)", re.IGNORECASE)
_INSTRUCTION = re.compile(r"\s*([A-Za-z]+)\s*(.*)", re.DOTALL)
_FLAG = re.compile(r"\s*--([\w.-]+)(?:=(\S*))?")
_FROM = re.compile(r"(\S+)(?:\s+[Aa][Ss]\s+(\S+))?")
_HERE = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_PAIR = re.compile(r"([\w.-]+)=(\"(?:[^\"\\]|\\.)*\"|'[^']*'|\S*)")


class _Logical(NamedTuple):
    """One instruction with the lines that continue it."""

    line: int
    text: str


def model(text: str) -> Object:
    """What checks ask of a Dockerfile: `stages`, `instructions`, and `user`, whom the last stage runs as."""
    instructions = [_instruction(found) for found in _logical(text)][:INSTRUCTIONS_MAX]
    stages: list[Object] = []
    for instruction in instructions:
        if instruction["name"] == "FROM":
            stages.append(_stage(instruction, stages))
        instruction["stage"] = len(stages) - 1
    last = len(stages) - 1
    users = [found for found in instructions if found["name"] == "USER" and found["stage"] in _line_of(stages)]
    return {
        "stages": stages,
        "instructions": instructions,
        "last": last,
        "user": users[-1]["text"] if users else "",
        "userLine": users[-1]["line"] if users else (stages[-1]["line"] if stages else 1),
    }


def _line_of(stages: list[Object]) -> set[int]:
    """The last stage and those that it is built on."""
    found, at = set(), len(stages) - 1
    while at >= 0 and at not in found:
        found.add(at)
        at = stages[at]["on"]
    return found


def _logical(text: str) -> Iterator[_Logical]:
    first = _ESCAPE.match(text)
    escape = first[1] if first is not None else "\\"
    begun, parts, waiting = 0, [], [""][:0]
    for number, line in enumerate(text.splitlines(), 1):
        if waiting:
            if line.strip() == waiting[0]:
                waiting.pop(0)
            parts.append(line)
            if waiting:
                continue
            yield _Logical(begun, "\n".join(parts))
            parts = []
            continue
        if line.lstrip().startswith("#") or (not line.strip() and not parts):
            if parts:
                parts.append("")
            continue
        begun = begun if parts else number
        stripped = line.rstrip()
        if stripped.endswith(escape):
            parts.append(stripped[: -len(escape)])
            continue
        parts.append(line)
        waiting = [mark for _, mark in _HERE.findall("\n".join(parts))] if _takes_here("".join(parts)) else []
        if not waiting:
            yield _Logical(begun, "\n".join(parts))
            parts = []
    if parts:
        yield _Logical(begun, "\n".join(parts))


def _takes_here(text: str) -> bool:
    return text.lstrip()[:4].upper() in ("RUN ", "COPY", "ADD ")


def _instruction(found: _Logical) -> Object:
    matched = _INSTRUCTION.match(found.text)
    name, rest = (matched[1].upper(), matched[2]) if matched is not None else ("", found.text)
    flags: dict[str, str] = {}
    while (flag := _FLAG.match(rest)) is not None and name not in ("ENV", "LABEL", "CMD", "ENTRYPOINT"):
        flags[flag[1]] = flag[2] or ""
        rest = rest[flag.end() :]
    rest = rest.strip()
    words = _exec_form(rest)
    return {
        "line": found.line,
        "name": name,
        "text": rest,
        "shown": " ".join(rest.split())[: shell.SHOWN_MAX],
        "flags": flags,
        "exec": words is not None,
        "words": words if words is not None else rest.split(),
        "pairs": _pairs(name, rest),
        "commands": _commands(rest, found.line) if name == "RUN" and words is None else [],
        "pipefail": "pipefail" in rest,
    }


def _exec_form(text: str) -> list[str] | None:
    if not text.startswith("["):
        return None
    try:
        found: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return [str(word) for word in found] if isinstance(found, list) else None


def _pairs(name: str, text: str) -> list[Object]:
    if name == "ARG":
        key, _, value = text.partition("=")
        return [{"name": key.strip(), "value": value.strip().strip("\"'")}]
    if name not in ("ENV", "LABEL"):
        return []
    found = [{"name": key, "value": value.strip("\"'")} for key, value in _PAIR.findall(text)]
    if found or name == "LABEL":
        return found
    key, _, value = text.partition(" ")
    return [{"name": key, "value": value.strip()}]


def _commands(text: str, line: int) -> list[Object]:
    found: list[Object] = shell.model(text)["commands"]
    return [{**command, "line": command["line"] + line - 1} for command in found]


def _stage(instruction: Object, before: list[Object]) -> Object:
    found = _FROM.match(instruction["text"])
    image, name = (found[1], found[2] or "") if found is not None else ("", "")
    on = next((index for index, stage in enumerate(before) if stage["name"] and stage["name"] == image), -1)
    return {"line": instruction["line"], "image": image, "name": name, "on": on}
