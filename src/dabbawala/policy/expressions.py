"""The expressions of a policy, compiled: in which variables, to which type, and what is wrong with them.

An expression that does not compile never stops a policy from being made: evaluating it is an error then, as upstream
has it for what was stored by another version. Whoever accepts policies looks at `faults` first.

Source: apiserver/pkg/admission/plugin/cel/{compile,composition}.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

from dabbawala.cel.environment import Environment, Function, Store
from dabbawala.cel.errors import CompileError, EvaluationError
from dabbawala.cel.program import Budget, Program
from dabbawala.policy import declared

AUTHORIZER, REQUEST_RESOURCE = "authorizer", "authorizer.requestResource"
VARIABLES = "variables."
_AUTHORIZERS = {AUTHORIZER: "authorizer", REQUEST_RESOURCE: "resource_check"}
_ALWAYS = {
    "object": "dyn", "oldObject": "dyn", "request": declared.REQUEST, "namespaceObject": declared.NAMESPACE,
}  # fmt: skip
# Anything named so anywhere may be one of the variables that differ between policies or requests for one object.
_NOT_OF_THE_OBJECT = re.compile(r"\b(oldObject|request|params|namespaceObject|authorizer)\b")
_OF_A_REQUEST = re.compile(r"\b(object|oldObject|request|namespaceObject|authorizer)\b")
_REFERENCE = re.compile(r"\bvariables\s*\.\s*(\w+)")
_ANY_REFERENCE = re.compile(r"\bvariables\b")  # in whatever way it is written, such as with a comment before the point
_ANY: tuple[str, ...] = ()
_BOOL, _STRING, _STRING_OR_NULL = ("bool",), ("string",), ("string", "null")


class Evaluable(Protocol):
    """A compiled expression, or what raises what kept it from being one."""

    def evaluate(self, variables: Mapping[str, Any], *, budget: Budget | None = None) -> Any: ...

    def guess(self, variables: Mapping[str, Any]) -> tuple[Any, int]: ...


@dataclass(frozen=True, slots=True)
class Fault:
    """An expression that does not compile. `path` is its field, `spec.validations[0].expression`."""

    path: str
    source: str
    message: str


@dataclass(frozen=True, slots=True)
class _Broken:
    message: str

    def evaluate(self, variables: Mapping[str, Any], *, budget: Budget | None = None) -> Any:
        raise EvaluationError(self.message)

    def guess(self, variables: Mapping[str, Any]) -> tuple[Any, int]:
        raise EvaluationError(self.message)


class Identity:
    """What a value depends on beside the object: an expression, and those that it reads. Hashed by address, it costs
    nothing as a key. `holders` counts the variables that have it: what only one has need not be kept for others."""

    __slots__ = ("holders",)

    def __init__(self) -> None:
        self.holders = 0


class Constant:
    """What a variable says that reads nothing of a request: the same each time, as long as there are no parameters.
    `answer` is its value and what that costs at most, once somebody has asked."""

    __slots__ = ("answer",)

    def __init__(self) -> None:
        self.answer: tuple[Any, int] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Variable:
    """One of `spec.variables`. Those of one `identity` have one value for one object, in whichever policy."""

    name: str
    program: Evaluable
    identity: Identity | None
    constant: Constant | None


@dataclass(frozen=True, slots=True)
class Dialect:
    """What expressions may use: the functions of a server version, and extra ones, with variables by name and type,
    that only a scanner has. A `store` spares the compilation of what it holds."""

    version: str = "1.30"
    functions: tuple[Function, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    store: Store | None = None

    def __hash__(self) -> int:
        return hash((self.version, self.variables))  # quickly: there are a hundred functions, and each expression asks


@lru_cache(maxsize=64)
def _environment(dialect: Dialect, params: bool, authorizer: bool) -> Environment:
    names = {**_ALWAYS, **dict(dialect.variables), **({"params": "dyn"} if params else {})}
    if authorizer:
        names |= _AUTHORIZERS
    return Environment(names, version=dialect.version, functions=dialect.functions, types=declared.TYPES)


@lru_cache(maxsize=4096)
def _identity(dialect: Dialect, source: str, parts: tuple[Identity, ...]) -> Identity:
    return Identity()


@dataclass(slots=True)
class Compiler:
    """Compiles the expressions of one policy, its variables in their order; what the dialect's store holds of the
    policy is taken from there. `text` is all of it; what has none is not looked up."""

    dialect: Dialect
    params: bool
    text: bytes = b""
    faults: list[Fault] = field(default_factory=list)
    variables: dict[str, Variable] = field(default_factory=dict)
    _types: dict[str, str] = field(default_factory=dict)
    _known: dict[bool, Environment] = field(default_factory=dict)
    _made: list[Program] = field(default_factory=list)
    _stored: Iterator[Program] | None = None

    def __post_init__(self) -> None:
        if self.dialect.store is not None and self.text:
            environment = _environment(self.dialect, self.params, True)
            self.text = environment.text.encode() + self.text
            found = self.dialect.store.recall(self.text, environment)
            self._stored = None if found is None else iter(found)

    def keep(self) -> None:
        """Everything has been compiled: the next one need not."""
        if self.dialect.store is not None and self.text and self._stored is None and not self.faults:
            self.dialect.store.learn(self.text, self._made)

    def variable(self, name: str, source: str, path: str) -> None:
        """Declare a variable for all expressions that come after it."""
        program, kind = self._compile(True, source, path, _ANY)
        identity = self._shared(source)
        if isinstance(program, _Broken):
            program = _Broken(f'composited variable "{name}" fails to compile: {program.message}')
            identity = None
        if identity is not None:
            identity.holders += 1
        constant = Constant() if self._is_constant(source) else None
        self.variables[VARIABLES + name] = Variable(name, program, identity, constant)
        self._types[VARIABLES + name] = kind
        for authorizer, known in self._known.items():
            self._known[authorizer] = known.extended(VARIABLES + name, kind)

    def condition(self, source: str, path: str) -> Evaluable:
        """A match condition: it sees no variables."""
        return self._compile(None, source.strip(), path, _BOOL)[0]

    def validation(self, source: str, path: str) -> Evaluable:
        return self._compile(True, source, path, _BOOL)[0]

    def message(self, source: str, path: str) -> Evaluable:
        """A message expression: it sees no authorizer."""
        return self._compile(False, source, path, _STRING)[0]

    def audit_value(self, source: str, path: str) -> Evaluable:
        return self._compile(True, source.strip(), path, _STRING_OR_NULL)[0]

    def _composed(self, authorizer: bool | None) -> Environment:
        """With the variables so far; None for what sees none of them."""
        if authorizer is None:
            return _environment(self.dialect, self.params, True)
        found = self._known.get(authorizer)
        if found is None:
            found = _environment(self.dialect, self.params, authorizer)
            for name, kind in self._types.items():
                found = found.extended(name, kind)
            self._known[authorizer] = found
        return found

    def _compile(
        self, authorizer: bool | None, source: str, path: str, accepted: Sequence[str]
    ) -> tuple[Evaluable, str]:
        try:
            program = self._recalled(source) or self._composed(authorizer).compile(source)
        except CompileError as error:
            message = f"compilation failed: {located(error)}"
        else:
            if not accepted or program.result_type in accepted:
                self._made.append(program)
                return program, program.result_type
            message = _mistyped(program.result_type, accepted)
        self.faults.append(Fault(path, source, message))
        return _Broken(f"compilation error: {message}"), "dyn"

    def _recalled(self, source: str) -> Program | None:
        """The next one of what is stored. Where that is not of this expression, nothing of it is believed."""
        found = None if self._stored is None else next(self._stored, None)
        if found is None or found.source != source:
            self._stored = found = None
        return found

    def _is_constant(self, source: str) -> bool:
        """Whether an expression reads parameters and constants alone. What only a scanner has may be different each
        time."""
        if self.dialect.variables or self.dialect.functions or _OF_A_REQUEST.search(source):
            return False
        earlier = [self.variables.get(VARIABLES + name) for name in _REFERENCE.findall(source)]
        known = all(variable is not None and variable.constant is not None for variable in earlier)
        return known and len(earlier) == len(_ANY_REFERENCE.findall(source))

    def _shared(self, source: str) -> Identity | None:
        names = _references(source)
        if names is None:
            return None
        parts = []
        for name in names:
            earlier = self.variables.get(VARIABLES + name)
            if earlier is None or earlier.identity is None:
                return None
            parts.append(earlier.identity)
        return _identity(self.dialect, source, tuple(parts))


@lru_cache(maxsize=4096)
def _references(source: str) -> tuple[str, ...] | None:
    """The variables that an expression reads beside the object; None where it may read anything else."""
    if _NOT_OF_THE_OBJECT.search(source):
        return None
    names = _REFERENCE.findall(source)
    return tuple(names) if len(names) == len(_ANY_REFERENCE.findall(source)) else None


def located(error: CompileError) -> str:
    """As cel-go shows it: the line, and a mark under the place."""
    lines = error.source.splitlines() or [""]
    line = lines[error.line - 1] if 0 < error.line <= len(lines) else ""
    mark = "." * max(error.column - 1, 0) + "^"
    message = error.message.partition(" not found in struct")[0]
    return f"ERROR: <input>:{error.line}:{error.column}: {message}\n | {line}\n | {mark}"


def _mistyped(found: str, accepted: Sequence[str]) -> str:
    names = [{"null": "null_type"}.get(kind, kind) for kind in accepted]
    if len(names) == 1:
        return f"must evaluate to {names[0]} but got {found}"
    return f"must evaluate to one of [{' '.join(names)}] but got {found}"
