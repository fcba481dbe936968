"""Google's C++ front end, one for many expressions: a front end takes a millisecond and a third of a MiB to make.

Environments of different policies differ in variables that most of their expressions do not name. A front end that
declares more than an expression needs reads it just as well, if the expression has no word that could mean the rest;
so front ends grow together, and only variables of one name and different types need different ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from dabbawala.cel import declarations
from dabbawala.cel.messages import Types
from dabbawala.cel.types import declaration, is_plain, signature

Variables = tuple[tuple[str, str], ...]
Signature = tuple[str, tuple[str, ...], str, bool]
_KEPT_MAX = 16  # front ends of one version, with one set of functions
_WORD = re.compile(r"\w+")


def words(source: str) -> set[str]:
    return set(_WORD.findall(source))


def meant(name: str, found: set[str]) -> bool:
    """Whether words of an expression may mean a variable: `variables.x` by its `x`."""
    return name.rpartition(".")[2] in found


class FrontEnds:
    """Front ends that differ in variables only."""

    def __init__(self, version: str, functions: tuple[Signature, ...], types: Types | None) -> None:
        self._version, self._functions, self._types = version, functions, types
        self._kept: list[tuple[dict[str, str], Any]] = []

    def compile(self, source: str, variables: Variables) -> bytes:
        """The checked expression on the wire; `variables` are those that its words may mean. Raises RuntimeError."""
        return bytes(self._fitting(source, dict(variables)).compile(source).serialize())

    def _fitting(self, source: str, needed: dict[str, str]) -> Any:
        found = words(source)
        nearest: tuple[dict[str, str], Any] | None = None
        for kept in self._kept:
            declared = kept[0]
            if any(name not in needed and meant(name, found) for name in declared):
                continue
            if any(declared.get(name, type) != type for name, type in needed.items()):
                continue
            if needed.keys() <= declared.keys():
                return kept[1]
            nearest = kept
        return self._made({**(nearest[0] if nearest else {}), **needed}, nearest)

    def _made(self, variables: dict[str, str], instead_of: tuple[dict[str, str], Any] | None) -> Any:
        made = _new(tuple(variables.items()), self._version, self._functions, self._types)
        kept = [one for one in self._kept if one is not instead_of]
        self._kept = [*kept[-_KEPT_MAX + 1 :], (variables, made)]
        return made


@lru_cache(maxsize=8)
def front_ends(version: str, functions: tuple[Signature, ...], types: Types | None) -> FrontEnds:
    return FrontEnds(version, functions, types)


def _new(variables: Variables, version: str, functions: tuple[Signature, ...], types: Types | None) -> Any:
    from cel_expr_python import cel  # its shared library is loaded only by those who compile

    declared = {name: cel.Type(signature(type)) for name, type in variables if is_plain(type)}
    odd = tuple((name, type) for name, type in variables if not is_plain(type))
    pool: Mapping[str, Any] = {} if types is None else {"descriptor_pool": types.pool}
    return cel.NewEnv(config=_configuration(version, functions, odd), variables=declared, **pool)


@lru_cache(maxsize=8)
def _configuration(version: str, functions: tuple[Signature, ...], odd: Variables) -> Any:
    from cel_expr_python import cel

    configuration = declarations.configuration(version, functions)
    configuration["variables"] = [{"name": name, **declaration(type)} for name, type in odd]
    return cel.NewEnvConfigFromYaml(orjson.dumps(configuration).decode())
