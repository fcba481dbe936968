"""The words of a shell script: what stands in quotes, what is expanded, where a here-document ends.

Only as much of the POSIX shell and of bash as decides what a command is and which of its words may fall apart; nothing
is ever expanded or run. What cannot be read is taken as plain text: a script that is wrong is somebody else's finding.
Pure. Source: POSIX.1-2017 volume 3, chapter 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

SCRIPT_MAX = 256 * 1024
"""Characters of a script that are read."""

DEPTH_MAX = 8
"""Levels of command substitution that are looked into."""

WORD, OPERATOR, NEWLINE, REDIRECT = "word", "operator", "newline", "redirect"

_OPERATORS = re.compile(r"&&|\|\||\|&|;;|;|\||&(?!>)|\(|\)")
_REDIRECT = re.compile(r"\d*(?:<<<|<<-?|<>|<&|>&|&>>?|>>|>\||<|>)")
_NAME = re.compile(r"[A-Za-z_]\w*|[0-9@*#?$!-]")
_BLANK = re.compile(r"(?:[ \t\r]|\\\r?\n)+")
_COMMENT = re.compile(r"#[^\n]*")


class Expansion(NamedTuple):
    """`$name` or `${name…}` in a word; `bare` outside quotes, `guarded` by a default or an error for what is unset."""

    name: str
    bare: bool
    guarded: bool


@dataclass(slots=True)
class Token:
    """A word, an operator, a redirection or the end of a line. `text` of a word is without its quotes. `scripts` are
    the command substitutions in it, with the lines that they begin in and whether they stand outside quotes."""

    kind: str
    text: str
    line: int
    quoted: bool = False
    expansions: list[Expansion] = field(default_factory=list)
    scripts: list[tuple[str, int, bool]] = field(default_factory=list)


@dataclass(slots=True)
class HereDocument:
    """`<<MARK`: where it begins, whether its mark ends it, and the line of what looks like that mark, but indented."""

    mark: str
    line: int
    text: str = ""
    closed: bool = False
    indented: int = 0


class Scanner:
    """Tokens of one script. `documents` are its here-documents, once it has been read."""

    def __init__(self, text: str, line: int = 1) -> None:
        self.text = text[:SCRIPT_MAX]
        self.documents: list[HereDocument] = []
        self._at = 0
        self._line = line
        self._waiting: list[tuple[HereDocument, bool]] = []
        self._after_here = False
        self._strips = False

    def tokens(self) -> Iterator[Token]:
        while self._at < len(self.text):
            blank = _BLANK.match(self.text, self._at)
            if blank is not None:
                self._pass(blank.end())
                continue
            yield from self._next()

    def _next(self) -> Iterator[Token]:
        character = self.text[self._at]
        if character == "#":
            found = _COMMENT.match(self.text, self._at)
            self._pass(found.end() if found else len(self.text))
        elif character == "\n":
            yield Token(NEWLINE, "\n", self._line)
            self._pass(self._at + 1)
            self._bodies()
        elif (redirect := _REDIRECT.match(self.text, self._at)) is not None:
            yield Token(REDIRECT, redirect.group(), self._line)
            self._after_here = redirect.group().lstrip("0123456789") in ("<<", "<<-")
            self._strips = redirect.group().endswith("-")
            self._pass(redirect.end())
        elif (operator := _OPERATORS.match(self.text, self._at)) is not None:
            yield Token(OPERATOR, operator.group(), self._line)
            self._pass(operator.end())
        else:
            yield self._word()

    def _pass(self, end: int) -> None:
        self._line += self.text.count("\n", self._at, end)
        self._at = end

    def _bodies(self) -> None:
        """What stands between a line with `<<MARK` and the mark."""
        for document, strips in self._waiting:
            self._body(document, strips)
        self._waiting.clear()

    def _body(self, document: HereDocument, strips: bool) -> None:
        start = self._at
        while self._at < len(self.text):
            end = self.text.find("\n", self._at)
            end = len(self.text) if end < 0 else end
            line, number, begin = self.text[self._at : end].rstrip("\r"), self._line, self._at
            self._pass(min(end + 1, len(self.text)))
            if (line.lstrip("\t") if strips else line) == document.mark:
                document.closed, document.text = True, self.text[start:begin]
                return
            if line.strip() == document.mark and not document.indented:
                document.indented = number
        document.text = self.text[start:]

    def _word(self) -> Token:
        token = Token(WORD, "", self._line)
        parts: list[str] = []
        while self._at < len(self.text):
            character = self.text[self._at]
            if character in " \t\r\n;|&()<>":
                break
            parts.append(self._piece(character, token))
        token.text = "".join(parts)
        if self._after_here:
            self._after_here = False
            document = HereDocument(token.text, token.line)
            self.documents.append(document)
            self._waiting.append((document, self._strips))
        return token

    def _piece(self, character: str, token: Token) -> str:
        if character == "'":
            return self._single(token)
        if character == '"':
            return self._double(token)
        if character == "\\":
            piece = self.text[self._at + 1 : self._at + 2]
            self._pass(min(self._at + 2, len(self.text)))
            return "" if piece == "\n" else piece
        if character in "$`":
            return self._dollar(token, bare=True)
        self._pass(self._at + 1)
        return character

    def _single(self, token: Token) -> str:
        end = self.text.find("'", self._at + 1)
        end = len(self.text) if end < 0 else end
        piece = self.text[self._at + 1 : end]
        token.quoted = True
        self._pass(min(end + 1, len(self.text)))
        return piece

    def _double(self, token: Token) -> str:
        parts: list[str] = []
        token.quoted = True
        self._pass(self._at + 1)
        while self._at < len(self.text) and self.text[self._at] != '"':
            character = self.text[self._at]
            if character == "\\":
                parts.append(self.text[self._at + 1 : self._at + 2])
                self._pass(min(self._at + 2, len(self.text)))
            elif character in "$`":
                parts.append(self._dollar(token, bare=False))
            else:
                parts.append(character)
                self._pass(self._at + 1)
        self._pass(min(self._at + 1, len(self.text)))
        return "".join(parts)

    def _dollar(self, token: Token, *, bare: bool) -> str:
        """`$name`, `${name:-…}`, `$(…)`, `$((…))` and backquotes, as they are written."""
        start, text = self._at, self.text
        if text[start] == "`":
            end = text.find("`", start + 1)
            return self._script(token, start + 1, len(text) if end < 0 else end, bare)
        if text.startswith("$((", start):
            end = text.find("))", start + 3)
            self._pass(len(text) if end < 0 else end + 2)
            return text[start : self._at]
        if text.startswith("$(", start):
            return self._script(token, start + 2, closing(text, start + 2, ")"), bare)
        if text.startswith("${", start):
            end = closing(text, start + 2, "}")
            self._pass(min(end + 1, len(text)))
            _named(token, text[start + 2 : end], bare)
            return text[start : self._at]
        found = _NAME.match(text, start + 1)
        self._pass(start + 1 if found is None else found.end())
        if found is not None:
            token.expansions.append(Expansion(found.group(), bare, False))
        return text[start : self._at]

    def _script(self, token: Token, start: int, end: int, bare: bool) -> str:
        line = self._line + self.text.count("\n", self._at, start)
        token.scripts.append((self.text[start:end], line, bare))
        piece = self.text[self._at : min(end + 1, len(self.text))]
        self._pass(min(end + 1, len(self.text)))
        return piece


def _named(token: Token, inside: str, bare: bool) -> None:
    found = _NAME.match(inside.lstrip("#!"))
    if found is not None:
        length = inside.startswith("#")
        guarded = length or bool(re.match(r"[A-Za-z_]\w*:?[-?=]", inside))
        token.expansions.append(Expansion(found.group(), bare and not length, guarded))


def closing(text: str, start: int, end: str) -> int:
    """Where a parenthesis or brace that was opened before `start` closes; quotes are stepped over."""
    opened, depth, at = {")": "(", "}": "{"}[end], 1, start
    while at < len(text):
        character = text[at]
        if character == "\\":
            at += 1
        elif character == "'" and end == ")":
            at = _behind(text, at, "'")
        elif character == '"':
            at = _behind(text, at, '"')
        elif character == opened:
            depth += 1
        elif character == end:
            depth -= 1
            if not depth:
                return at
        at += 1
    return len(text)


def _behind(text: str, at: int, quote: str) -> int:
    """The place of the quote that closes the one at `at`."""
    end = at + 1
    while end < len(text) and text[end] != quote:
        end += 2 if text[end] == "\\" and quote == '"' else 1
    return end
