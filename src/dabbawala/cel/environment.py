"""Where expressions are compiled: the variables with their types, and the functions that a server of a version has.

Google's C++ front end parses and checks; `making.py`, with all that compiles, and the front end are loaded when the
first expression is compiled. What is declared stands in `declarations.py`. What many policies write is compiled once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from dabbawala.cel import code
from dabbawala.cel.frontend import Variables, meant, words
from dabbawala.cel.messages import Types
from dabbawala.cel.program import Library, Program

_PROGRAMS = 4096
_STORED = 4096  # texts of a store


@dataclass(frozen=True, slots=True)
class Function:
    """A function beside the library: `arguments` and `result` are types as text; a receiver is the first argument."""

    name: str
    arguments: tuple[str, ...]
    result: str
    call: Callable[..., Any]
    receiver: bool = False


class Store:
    """Programs that were compiled before: those of one text, such as a policy's, by that text. Whoever compiles takes
    what it holds, and adds what it lacks; keeping it between processes is its owner's matter. Whoever can write to it
    runs code."""

    def __init__(self, programs: Mapping[bytes, tuple[bytes, ...]] = MappingProxyType({})) -> None:
        self.programs = dict(programs)
        self.learnt = False
        self._loaded: dict[tuple[bytes, Library], Program] = {}

    def recall(self, text: bytes, environment: Environment) -> list[Program] | None:
        """The programs of a text, in the order in which they were compiled; None where there are none."""
        try:
            return [self._load(stored, environment) for stored in self.programs[text]]
        except (KeyError, ValueError):
            return None

    def _load(self, stored: bytes, environment: Environment) -> Program:
        """Many texts have the same expressions, in the same variables. What is stored names functions, and does not
        say what they do: that is the environment's."""
        key = stored, environment.library
        found = self._loaded.get(key)
        if found is None:
            found = self._loaded[key] = environment.load(stored)
        return found

    def learn(self, text: bytes, programs: Iterable[Program]) -> None:
        if text in self.programs or len(self.programs) < _STORED:
            self.programs[text] = tuple(program.dumps() for program in programs)
            self.learnt = True


class Environment:
    """Variables by name with their types. `version` is the server's minor version, whose functions are known; `types`
    are those that have fields."""

    def __init__(
        self,
        variables: Mapping[str, str],
        *,
        version: str = "1.30",
        functions: Sequence[Function] = (),
        types: Types | None = None,
    ) -> None:
        self.variables, self.version, self.types = dict(variables), version, types
        self._known = _functions(tuple(functions))

    def extended(self, name: str, type: str) -> Environment:
        """One more variable, such as `variables.x`."""
        made = copy(self)
        made.variables = {**self.variables, name: type}
        return made

    def compile(self, source: str) -> Program:
        """The program of an expression. Raises CompileError."""
        found = words(source)
        variables = tuple((name, type) for name, type in self.variables.items() if meant(name, found))
        known = self.types if self.types is not None and any(self.types.knows(type) for _, type in variables) else None
        return _compiled(source, variables, (self.version, self._known), known)

    @property
    def library(self) -> Library:
        """What the functions of an expression do."""
        return self._known.library

    @property
    def text(self) -> str:
        """What of it decides what an expression compiles to, but for the fields of types."""
        return f"{self.version} {sorted(self.variables.items())} {self._known.text}"

    def load(self, stored: bytes) -> Program:
        """A program from what its `dumps` gave, without the front end. Raises ValueError when it was stored by another
        version of Python or of this package."""
        return Program.loads(stored, self.library)


class _Functions:
    """Functions beside the library. Compared by identity, because there are a hundred of them and every expression
    asks; `text` is what they are to a front end."""

    def __init__(self, functions: tuple[Function, ...]) -> None:
        self.library = _library(functions)
        self.signatures = tuple((one.name, one.arguments, one.result, one.receiver) for one in functions)
        self.text = repr(self.signatures)


@lru_cache(maxsize=64)
def _functions(functions: tuple[Function, ...]) -> _Functions:
    return _Functions(functions)


_Functionality = tuple[str, _Functions]


@lru_cache(maxsize=_PROGRAMS)
def _compiled(source: str, variables: Variables, functions: _Functionality, types: Types | None) -> Program:
    from dabbawala.cel import making  # not by a process that finds all that it needs in a store

    version, known = functions
    return making.program(source, variables, known.library, version=version, functions=known.signatures, types=types)


def _library(functions: tuple[Function, ...]) -> Library:
    from dabbawala.cel import library

    every = {**library.FUNCTIONS, **{one.name: one.call for one in functions}}
    names = {name: every[function] for name, function in code.names(every).items()}
    return Library(every, {**names, **library.SUPPORT, "__builtins__": library.BUILTINS})
