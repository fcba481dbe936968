"""Where expressions are compiled: the variables with their types, and the functions that a server of a version has.

Google's C++ front end parses and checks; it is loaded when the first expression is compiled. What it declares stands
in `declarations.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from dabbawala.cel import compile as compiler
from dabbawala.cel import declarations
from dabbawala.cel.errors import CompileError
from dabbawala.cel.program import Library, Program
from dabbawala.cel.tree import UnsupportedNode, read
from dabbawala.cel.types import declaration

_PLACE = re.compile(r"ERROR: [^\n]*?:(-?\d+):(-?\d+): (.*)")
_ENVIRONMENTS = 256  # front ends that are kept


@dataclass(frozen=True, slots=True)
class Function:
    """A function beside the library: `arguments` and `result` are types as text; a receiver is the first argument."""

    name: str
    arguments: tuple[str, ...]
    result: str
    call: Callable[..., Any]
    receiver: bool = False


class Environment:
    """Variables by name with their types. `version` is the server's minor version, whose functions are known."""

    def __init__(
        self, variables: Mapping[str, str], *, version: str = "1.30", functions: Sequence[Function] = ()
    ) -> None:
        self.variables, self.version, self.functions = dict(variables), version, tuple(functions)

    def extended(self, name: str, type: str) -> Environment:
        """One more variable, such as `variables.x`."""
        return Environment({**self.variables, name: type}, version=self.version, functions=self.functions)

    def compile(self, source: str) -> Program:
        """The program of an expression. Raises CompileError."""
        front_end = _front_end(tuple(self.variables.items()), self.version, _signatures(self.functions))
        try:
            serialized = front_end.compile(source).serialize()
        except (RuntimeError, ValueError, TypeError) as error:
            raise _refused(str(error), source) from None
        try:
            checked = read(serialized)
        except UnsupportedNode as error:
            raise CompileError(str(error), 1, 1, source) from None
        library = _library(self.functions)
        try:
            compiled = compiler.compile_tree(checked, "<expression>")
        except compiler.CannotCompile:
            compiled = None
        return Program(
            source,
            checked.type_of(checked.root),
            serialized,
            code=compiled.code if compiled else None,
            bound=compiled.bound if compiled else 0,
            library=library,
        )


_Signature = tuple[str, tuple[str, ...], str, bool]


def _signatures(functions: tuple[Function, ...]) -> tuple[_Signature, ...]:
    return tuple((one.name, one.arguments, one.result, one.receiver) for one in functions)


@lru_cache(maxsize=_ENVIRONMENTS)
def _front_end(variables: tuple[tuple[str, str], ...], version: str, functions: tuple[_Signature, ...]) -> Any:
    from cel_expr_python import cel  # its shared library is loaded only by those who compile

    configuration = declarations.configuration(version, functions)
    configuration["variables"] = [{"name": name, **declaration(type)} for name, type in variables]
    return cel.NewEnv(config=cel.NewEnvConfigFromYaml(orjson.dumps(configuration).decode()))


@lru_cache(maxsize=64)
def _library(functions: tuple[Function, ...]) -> Library:
    from dabbawala.cel import library

    every = {**library.FUNCTIONS, **{one.name: one.call for one in functions}}
    names = {name: every[function] for name, function in compiler.names(every).items()}
    return Library(every, {**names, **library.SUPPORT, "__builtins__": library.BUILTINS})


def _refused(message: str, source: str) -> CompileError:
    found = _PLACE.search(message)
    if found is None:
        return CompileError(message, 1, 1, source)
    return CompileError(found[3].removesuffix(" [INVALID_ARGUMENT]"), int(found[1]), int(found[2]), source)
