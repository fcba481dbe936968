"""What a compiled expression is, and by what names its code calls the library: all that running it needs of the
compiler.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import CodeType
from typing import NamedTuple

_OPERATORS = {
    "_==_": "_equals", "_!=_": "_differs", "_<_": "_less", "_<=_": "_less_equals", "_>_": "_greater",
    "_>=_": "_greater_equals", "_+_": "_add", "_-_": "_subtract", "_*_": "_multiply", "_/_": "_divide",
    "_%_": "_modulo", "-_": "_negate", "!_": "_not", "@in": "_in",
}  # fmt: skip


class Compiled(NamedTuple):
    """`code` is a function's; `bound` is of its cost, or 0 when the function returns (value, bound)."""

    code: CodeType
    bound: int


def identifier(function: str) -> str:
    """The name of a function of the library in compiled code."""
    return _OPERATORS.get(function) or "f_" + function.replace(".", "_0")


def names(functions: Iterable[str]) -> dict[str, str]:
    """Names in compiled code and the functions that they stand for."""
    return {identifier(function): function for function in functions}
