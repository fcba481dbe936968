"""A compiled expression and what its evaluation may cost.

The compiled function runs first; when it raises, or when the bound of its cost is over what is left, the interpreter
evaluates again and decides. A program can be stored: its code, and the checked tree, which is read only when the
interpreter needs it.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from importlib.util import MAGIC_NUMBER
from types import FunctionType
from typing import Any

from dabbawala.cel import cost
from dabbawala.cel.code import Compiled
from dabbawala.cel.errors import EvaluationError
from dabbawala.cel.interpret import Evaluation
from dabbawala.cel.tree import Checked, Node, read

_STORED = (2, MAGIC_NUMBER)  # the form of what is stored, and Python's of code
_OPEN_MAX = 10_000  # evaluations of one budget whose exact cost is not counted yet
SURPRISES = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError, EvaluationError)
"""What optimistic code raises where the language has an error, or its own reason."""


class Budget:
    """Cost that several evaluations share, such as those of one binding. Bounds are added first; when they reach the
    limit, the evaluations so far are repeated exactly, with the same variables."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._exact = 0
        self._bound = 0
        self._open: list[tuple[Program, Mapping[str, Any]]] = []

    @property
    def used(self) -> int:
        """What has been used, exactly."""
        self._settle()
        return self._exact

    @property
    def left(self) -> int:
        """At least this much is left."""
        return self.limit - self._exact - self._bound

    def admit(self, program: Program, variables: Mapping[str, Any], bound: int) -> bool:
        """Whether an evaluation surely fits."""
        if bound > self.left or len(self._open) >= _OPEN_MAX:
            self._settle()
            if bound > self.left:
                return False
        self._bound += bound
        self._open.append((program, variables))
        return True

    def charge(self, amount: int) -> None:
        self._exact += amount

    def _settle(self) -> None:
        for program, variables in self._open:
            self._exact += program.cost(variables)
        self._open.clear()
        self._bound = 0


class Program:
    """An expression ready to be evaluated, as often as wanted. It holds no state of an evaluation."""

    def __init__(
        self, source: str, result_type: str, checked: bytes, *, library: Library, code: Compiled | None
    ) -> None:
        self.source, self.result_type = source, result_type
        self._serialized, self._compiled, self._library = checked, code, library
        self._bound = code.bound if code else 0
        self._rules: dict[int, int | cost.Rule] = {}
        self._dumped: bytes | None = None
        self._run: Callable[[Mapping[str, Any]], Any] | None = None
        if code is not None:
            self._run = FunctionType(code.code, library.names)

    def dumps(self) -> bytes:
        """The program as bytes, for a cache of one's own: whoever can write them runs code where they are read."""
        if self._dumped is None:
            code = b"" if self._compiled is None else marshal.dumps(tuple(self._compiled))
            self._dumped = marshal.dumps((_STORED, self.source, self.result_type, self._serialized, code))
        return self._dumped

    @classmethod
    def loads(cls, stored: bytes, library: Library) -> Program:
        """What `dumps` stored. Raises ValueError."""
        try:
            version, *rest = marshal.loads(stored)
            if version != _STORED:
                raise ValueError("stored by another version")
            source, result_type, checked, code = rest
        except (EOFError, TypeError, ValueError) as error:
            raise ValueError(f"no program of this version: {error}") from None
        made = cls(source, result_type, checked, library=library, code=None)
        made._dumped = stored
        if code:
            made._run = partial(made._wake, code)
        return made

    def _wake(self, code: bytes, variables: Mapping[str, Any]) -> Any:
        """Run a program for the first time that was stored: most of those of a policy never are."""
        self._compiled = Compiled(*marshal.loads(code))
        self._bound = self._compiled.bound
        self._run = FunctionType(self._compiled.code, self._library.names)
        return self._run(variables)

    @property
    def tree(self) -> Node:
        """What it is made of, for those who want to know what it reads."""
        return self._checked.root

    @cached_property
    def _checked(self) -> Checked:
        return read(self._serialized)

    def evaluate(self, variables: Mapping[str, Any], *, budget: Budget | None = None) -> Any:
        """The value. Raises EvaluationError, and CostExceeded over the limit of an expression or of the budget."""
        run = self._run
        if run is None:
            return self.interpret(variables, budget=budget)
        try:
            value = run(variables)
        except SURPRISES:
            return self.interpret(variables, budget=budget)
        bound = self._bound
        if not bound:
            value, bound = value
        if bound > cost.PER_EXPRESSION or (budget is not None and not budget.admit(self, variables, bound)):
            return self.interpret(variables, budget=budget)
        return value

    def guess(self, variables: Mapping[str, Any]) -> tuple[Any, int]:
        """The value by compiled code alone, and what it costs at most. Raises SURPRISES where only `evaluate` can tell
        what the value is, or the error."""
        run = self._run
        if run is None:
            raise EvaluationError("only the interpreter can evaluate it")
        value = run(variables)
        bound = self._bound
        if not bound:
            value, bound = value
        if bound > cost.PER_EXPRESSION:
            raise EvaluationError("only the interpreter can tell what it costs")
        return value, bound

    def bound(self, variables: Mapping[str, Any]) -> int | None:
        """At least what an evaluation costs; None when only the interpreter can evaluate it."""
        if self._run is None:
            return None
        try:
            value = self._run(variables)
        except SURPRISES:
            return None
        return self._bound or int(value[1])

    def interpret(self, variables: Mapping[str, Any], *, budget: Budget | None = None) -> Any:
        """The value by the exact evaluator. Raises as `evaluate`."""
        limit = cost.PER_EXPRESSION if budget is None else min(cost.PER_EXPRESSION, budget.limit - budget.used)
        evaluation = Evaluation(variables, self._library.functions, limit, rules=self._rules)
        try:
            return evaluation.run(self._checked.root)
        except EvaluationError as error:
            raise self._placed(error, evaluation.failed_at) from None
        finally:
            if budget is not None:
                budget.charge(evaluation.cost)

    def cost(self, variables: Mapping[str, Any], *, folding: bool = True) -> int:
        """What an evaluation costs, in Kubernetes' units; without `folding` as if constants were not folded."""
        evaluation = Evaluation(variables, self._library.functions, folding=folding)
        try:
            evaluation.run(self._checked.root)
        except EvaluationError:
            return evaluation.cost
        return evaluation.cost

    def _placed(self, error: EvaluationError, id: int) -> EvaluationError:
        at = self._checked.places.get(id)
        if at is not None and not error.line:
            error.line, error.column = place(self.source, at)
        return error


def place(source: str, at: int) -> tuple[int, int]:
    """Line and column, from 1, of a code point of an expression."""
    before = source[:at]
    return before.count("\n") + 1, at - before.rfind("\n")


class Library:
    """The functions of an environment: by name, and by their names in compiled code."""

    def __init__(self, functions: Mapping[str, Callable[..., Any]], names: dict[str, Any]) -> None:
        self.functions, self.names = functions, names
