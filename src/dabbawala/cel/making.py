"""From the text of an expression to its program: the front end, the limits that a server sets, the compiler.

Apart from the environment, so that a process whose programs were all compiled before imports none of it.
"""

from __future__ import annotations

import re

from dabbawala.cel import compile as compiler
from dabbawala.cel import declarations
from dabbawala.cel.errors import CompileError
from dabbawala.cel.frontend import Signature, Variables, front_ends
from dabbawala.cel.messages import Types
from dabbawala.cel.program import Library, Program, place
from dabbawala.cel.tree import UnsupportedNode, read
from dabbawala.cel.validate import first_fault

_PLACE = re.compile(r"ERROR: [^\n]*?:(-?\d+):(-?\d+): (.*)")
_UNDECLARED = re.compile(r"undeclared reference to '([\w.]+)'")
_TOO_DEEP = re.compile(r"recursion (depth|limit)")
_DEPTH_MAX = 32  # levels; the front end's own, where cel-go has 250


def program(
    source: str,
    variables: Variables,
    library: Library,
    *,
    version: str,
    functions: tuple[Signature, ...],
    types: Types | None,
) -> Program:
    """`functions` are those beside the library's. Raises CompileError."""
    try:
        serialized = front_ends(version, functions, types).compile(source, variables)
        checked = read(serialized)
    except UnsupportedNode as error:
        raise CompileError(str(error), 1, 1, source) from None
    except (RuntimeError, ValueError, TypeError) as error:
        raise _refused(str(error), source, version) from None
    fault = first_fault(checked, library.functions)
    if fault is not None:
        line, column = place(source, checked.places.get(fault.id, 0))
        raise CompileError(fault.message, line, column, source)
    compiled = compiler.compile_tree(checked)
    return Program(source, checked.types.get(checked.root.id, "dyn"), serialized, library=library, code=compiled)


def _refused(message: str, source: str, version: str) -> CompileError:
    found = _PLACE.findall(message)
    if _TOO_DEEP.search(message):
        return CompileError(f"nested deeper than {_DEPTH_MAX} levels; give parts of it to variables", 1, 1, source)
    if not found:
        return CompileError(message, 1, 1, source)
    line, column, text = min(found, key=lambda one: "undeclared" not in one[2])
    for at, across, said in found:
        name = _UNDECLARED.search(said)
        newer = declarations.introduced(name[1], version) if name else None
        if newer is not None:
            line, column, text = at, across, newer
            break
    return CompileError(text.removesuffix(" [INVALID_ARGUMENT]"), int(line), int(column), source)
