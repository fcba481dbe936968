"""Reading a Dockerfile: instructions with their lines, variables replaced, forms told apart. Pure.

Source: the Dockerfile reference. Parser directives and heredocs are refused, naming the line.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

VARIABLE = re.compile(r"\\\$|\$(?:(\w+)|\{(\w+)(?::([-+])([^}]*))?\})")
KNOWN = frozenset(
    {
        "FROM", "ARG", "ENV", "WORKDIR", "COPY", "ADD", "RUN", "CMD", "ENTRYPOINT", "USER", "EXPOSE", "LABEL",
        "HEALTHCHECK", "STOPSIGNAL", "VOLUME", "SHELL", "MAINTAINER", "ONBUILD",
    }
)  # fmt: skip


class BadDockerfile(Exception):
    """An instruction that cannot be read or honoured; the message names file, line, reason and remedy."""


@dataclass(frozen=True, slots=True)
class Instruction:
    line: int
    name: str
    text: str

    def refuse(self, reason: str, remedy: str) -> BadDockerfile:
        shown = self.text if len(self.text) <= 100 else self.text[:97] + "..."
        return BadDockerfile(f"Dockerfile line {self.line}: {self.name} {shown}: {reason}; {remedy}")


def instructions(text: str) -> list[Instruction]:
    """All instructions in order, continued lines joined. Raises BadDockerfile."""
    found = []
    for line, logical in _logical_lines(text):
        name, _, rest = logical.partition(" ")
        instruction = Instruction(line, name.upper(), rest.strip())
        if instruction.name not in KNOWN:
            raise instruction.refuse("this is no instruction", "see the Dockerfile reference")
        if instruction.name in ("RUN", "COPY") and re.search(r"<<-?\s*['\"]?\w", instruction.text):
            raise instruction.refuse("here-documents are not supported", "put the text into a file and COPY it")
        found.append(instruction)
    return found


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    parts: list[str] = []
    for number, raw in enumerate(text.splitlines(), 1):
        if raw.lstrip().startswith("#") or (not raw.strip() and parts):
            continue
        start = start if parts else number
        stripped = raw.strip()
        if stripped.endswith("\\"):
            parts.append(stripped[:-1].strip())
            continue
        joined = " ".join([*parts, stripped]).strip()
        parts = []
        if joined:
            yield start, joined.replace("\t", " ")
    if parts:
        yield start, " ".join(parts)


def final_stage(found: list[Instruction]) -> tuple[list[Instruction], list[Instruction]]:
    """The ARGs before the first FROM, and the instructions of the last stage. Raises BadDockerfile."""
    starts = [index for index, instruction in enumerate(found) if instruction.name == "FROM"]
    if not starts:
        raise BadDockerfile("Dockerfile: there is no FROM; begin with one, such as FROM python:3.11-slim")
    before = [instruction for instruction in found[: starts[0]] if instruction.name == "ARG"]
    return before, found[starts[-1] :]


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME:+alternative}`; an unknown name is empty."""

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name is None:
            return "$"
        known = variables.get(name, "")
        if found[3] == "-":
            return known or found[4]
        if found[3] == "+":
            return found[4] if known else ""
        return known

    return VARIABLE.sub(value, text)


def pairs(instruction: Instruction, variables: Mapping[str, str]) -> dict[str, str]:
    """ENV and LABEL: `NAME=VALUE NAME2="VALUE 2"`, or the old `NAME VALUE`."""
    try:
        words = shlex.split(instruction.text)
    except ValueError as error:
        raise instruction.refuse(str(error), "close the quotes") from error
    if words and "=" not in words[0]:
        name, _, rest = instruction.text.partition(" ")
        return {name: expand(rest.strip(), variables)}
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise instruction.refuse(f"{word!r} has no value", "write NAME=VALUE")
        found[name] = expand(value, variables)
    return found


def command(instruction: Instruction) -> tuple[str, ...]:
    """CMD, ENTRYPOINT and RUN: a JSON list as it is, anything else through the shell."""
    if instruction.text.startswith("["):
        try:
            listed = json.loads(instruction.text)
        except json.JSONDecodeError:
            listed = None
        if not isinstance(listed, list) or not all(isinstance(word, str) for word in listed):
            raise instruction.refuse("this is no JSON list of strings", 'write ["program", "argument"]')
        return tuple(listed)
    return ("/bin/sh", "-c", instruction.text)


def flags(instruction: Instruction) -> tuple[dict[str, str], list[str]]:
    """COPY and ADD: `--name=value` flags, then sources and a destination."""
    if instruction.text.startswith("["):
        return {}, list(command(instruction))
    try:
        words = shlex.split(instruction.text)
    except ValueError as error:
        raise instruction.refuse(str(error), "close the quotes") from error
    given: dict[str, str] = {}
    while words and words[0].startswith("--"):
        name, _, value = words.pop(0)[2:].partition("=")
        given[name] = value
    return given, words
