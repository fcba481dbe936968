"""The commands of a shell script, as plain data: which run after which, what is piped, guarded, looped or substituted.

`model` gives what checks ask: `commands`, each with its line, name and words; `loops`; `documents` (here-documents);
the options of the shell that are set. Keywords are stepped over, so that `if ! curl …; then` shows a `curl` whose
status is looked at. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from dabbawala.apimachinery.meta import Object
from dabbawala.guard.languages.shell_words import (
    DEPTH_MAX,
    NEWLINE,
    REDIRECT,
    WORD,
    Scanner,
    Token,
)

COMMANDS_MAX = 4000
"""Commands of one script that are looked at."""

LOOPS_DEEP_MAX = 64
"""Loops inside of each other that are followed."""

SHOWN_MAX = 60
"""Characters of a command that a message repeats."""

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
_OPENING = {"if": "fi", "while": "done", "until": "done", "for": "done", "case": "esac", "{": "}", "select": "done"}
_CONDITIONS = frozenset(("if", "elif", "while", "until"))
_BETWEEN = frozenset(("then", "else", "do", "elif"))
_PREFIXES = frozenset(("!", "time", "exec", "command", "builtin", "sudo", "nohup", "eval"))
_LEAVES = frozenset(("break", "exit", "return"))
_COUNTS = re.compile(r"\(\(|\w(?:\+\+|--)")
_SHEBANG = re.compile(r"#!\s*\S*?(?:/env\s+(?:-S\s+)?)?([\w.]+)(.*)")


@dataclass(slots=True)
class _Loop:
    kind: str
    line: int
    depth: int
    condition: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    leaves: bool = False
    counts: bool = False


@dataclass(slots=True)
class _State:
    """What has been opened where the reader is."""

    commands: list[Object] = field(default_factory=list)
    loops: list[_Loop] = field(default_factory=list)
    documents: list[Object] = field(default_factory=list)
    options: dict[str, int] = field(default_factory=dict)
    functions: list[str] = field(default_factory=list)
    pipes: int = 0


class _Reader:
    """Reads one script into the state that its substitutions share."""

    def __init__(self, state: _State, depth: int) -> None:
        self.state = state
        self.depth = depth
        self.opened: list[str] = []
        self.running: list[_Loop] = []
        self.condition = False
        self.words: list[Token] = []
        self.redirects: list[str] = []
        self.before = ""
        self.negated = False
        self.piped: list[Object] = []

    def read(self, text: str, line: int) -> None:
        scanner = Scanner(text, line)
        target = False
        for token in scanner.tokens():
            if token.kind == REDIRECT:
                self.redirects.append(token.text)
                target = True
            elif token.kind == WORD:
                if target:
                    self.redirects[-1] += f" {token.text}"
                    self._substitutions(token)
                else:
                    self._word(token)
                target = False
            else:
                target = False
                self._end(token)
        self._finish("")
        self.state.documents += [
            {"mark": d.mark, "line": d.line, "closed": d.closed, "indented": d.indented} for d in scanner.documents
        ]

    def _word(self, token: Token) -> None:
        self._substitutions(token)
        if not self.words and not token.quoted and self._keyword(token):
            return
        self.words.append(token)

    def _keyword(self, token: Token) -> bool:
        """Whether the word is one of the language and no command's name."""
        word = token.text
        if word in _OPENING:
            self.opened.append(word)
            if word in ("while", "until", "for") and len(self.running) < LOOPS_DEEP_MAX:
                self.running.append(_Loop(word, token.line, len(self.opened)))
        elif word in _OPENING.values():
            self._close(word)
        elif word not in _BETWEEN and word != "!":
            return False
        if word in _CONDITIONS:
            self.condition = True
        elif word in ("then", "do", "else"):
            self.condition = False
        elif word == "!":
            self.negated = True
        return word not in ("for", "case", "select")

    def _close(self, word: str) -> None:
        if self.opened and _OPENING[self.opened[-1]] == word:
            self.opened.pop()
        if self.running and self.running[-1].depth > len(self.opened):
            self.state.loops.append(self.running.pop())

    def _substitutions(self, token: Token) -> None:
        if self.depth >= DEPTH_MAX:
            return
        for text, line, _ in token.scripts:
            inner = _Reader(self.state, self.depth + 1)
            inner.running = self.running
            inner.condition = self.condition
            inner.read(text, line)

    def _end(self, token: Token) -> None:
        text = token.text
        if text == "(" and len(self.words) == 1:
            self.state.functions.append(self.words.pop().text)
            return
        if text in ("(", ")") and not self.words:
            return
        self._finish(
            "" if token.kind == NEWLINE or text in (";", ";;", "&", "(", ")") else text, background=text == "&"
        )

    def _finish(self, after: str, *, background: bool = False) -> None:
        """A command has ended; `after` is the operator behind it."""
        if self.words and len(self.state.commands) < COMMANDS_MAX:
            self._add(self._command(after, background=background))
        elif not after:
            self._end_pipe()
        self.words, self.redirects = [], []
        self.before = after
        if after not in ("|", "|&"):
            self._end_pipe()
            self.negated = False

    def _add(self, command: Object) -> None:
        self.state.commands.append(command)
        self.piped.append(command)
        for loop in self.running:
            _note(loop, command)
        if command["name"] == "set":
            self._options(command)

    def _end_pipe(self) -> None:
        """All commands of a pipe have been read: what stands behind the last one guards them all."""
        if self.piped:
            last = self.piped[-1]["after"]
            for command in self.piped[:-1]:
                command["guarded"] = command["guarded"] or last in ("&&", "||")
        self.piped = []

    def _options(self, command: Object) -> None:
        for name in _options(command["arguments"]):
            self.state.options.setdefault(name, command["line"])

    def _command(self, after: str, *, background: bool) -> Object:
        words = list(self.words)
        assigned = []
        while words and _ASSIGNMENT.match(words[0].text) and not (words[0].quoted and "=" not in words[0].text):
            assigned.append(words.pop(0))
        prefix = []
        while len(words) > 1 and words[0].text in _PREFIXES:
            prefix.append(words.pop(0).text)
        name = words[0].text.rpartition("/")[2] if words else ""
        return {
            "line": self.words[0].line,
            "name": name,
            "text": " ".join([name, *(word.text for word in words[1:])])[:SHOWN_MAX],
            "arguments": [word.text for word in words[1:]],
            "quoted": [word.quoted for word in words[1:]],
            "bare": sorted({e.name for word in words[1:] for e in word.expansions if e.bare}),
            "unset": sorted({e.name for word in words[1:] for e in word.expansions if not e.guarded}),
            "assigned": [_assigned(word) for word in assigned],
            "prefix": prefix,
            "redirects": list(self.redirects),
            "before": self.before,
            "after": after,
            "piped": after in ("|", "|&"),
            "guarded": self.condition or after in ("&&", "||") or self.negated,
            "condition": self.condition,
            "nested": self.depth > 0,
            "looped": bool(self.running),
            "background": background,
            "functions": len(self.state.functions),
        }


def _assigned(word: Token) -> Object:
    name, _, value = word.text.partition("=")
    return {"name": name.rstrip("+"), "value": value, "substituted": bool(word.scripts)}


def _note(loop: _Loop, command: Object) -> None:
    if command["condition"] and not loop.leaves:
        loop.condition += [command["name"], *command["arguments"]]
    loop.names.add(command["name"])
    loop.leaves = loop.leaves or command["name"] in _LEAVES
    text = " ".join([command["name"], *command["arguments"], *(item["value"] for item in command["assigned"])])
    loop.counts = (
        loop.counts or bool(_COUNTS.search(text)) or command["name"] in ("timeout", "let", "expr", "read", "date")
    )


def _options(arguments: Sequence[str]) -> Iterator[str]:
    """`-euo pipefail` and `-o errexit` under their long names."""
    letters = {"e": "errexit", "u": "nounset", "x": "xtrace"}
    for index, word in enumerate(arguments):
        if word.startswith("-") and not word.startswith("--"):
            for letter in word[1:]:
                if letter == "o" and index + 1 < len(arguments):
                    yield arguments[index + 1]
                elif letter in letters:
                    yield letters[letter]


def model(text: str, *, interpreter: str = "", options: Sequence[str] = ()) -> Object:
    """What checks ask of a script. `options` are those that it is started with (`-e` of `sh -ec`)."""
    state = _State()
    state.options.update(dict.fromkeys(_options(options), 0))
    first = _SHEBANG.match(text)
    if first is not None:
        interpreter = first[1]
        state.options.update(dict.fromkeys(_options(first[2].split()), 1))
    reader = _Reader(state, 0)
    reader.read(text, 1)
    state.loops += reader.running
    known = {item["name"] for command in state.commands for item in command["assigned"] if item["value"]}
    for command in state.commands:
        command["unset"] = [name for name in command["unset"] if name not in known]
    return {
        "interpreter": interpreter,
        "options": sorted(state.options),
        "commands": _marked(state.commands),
        "loops": [_shown(loop) for loop in sorted(state.loops, key=lambda loop: loop.line)],
        "documents": sorted(state.documents, key=lambda document: int(document["line"])),
        "functions": state.functions,
        "size": text.count("\n") + 1,
    }


def _marked(commands: list[Object]) -> list[Object]:
    """In the order in which they stand; each knows the name of the one that its output goes to or comes from."""
    for one, after in zip(commands, [*commands[1:], {"name": ""}], strict=False):
        one["to"] = after["name"] if one["piped"] else ""
    return commands


def _shown(loop: _Loop) -> dict[str, Any]:
    return {
        "kind": loop.kind,
        "line": loop.line,
        "condition": " ".join(loop.condition),
        "names": sorted(loop.names),
        "bounded": loop.kind == "for" or loop.leaves or loop.counts,
    }
