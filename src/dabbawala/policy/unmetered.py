"""What the expressions of one policy see of one request, without an account of what they cost.

A policy spends a thousandth of its budget as a rule, and keeping the account takes longer than the evaluation. Here
compiled code says what it says, and what that may cost at most is added up. Whoever finds the sum over the budget, or
meets what compiled code cannot say, asks a `Scope`, which charges every step and knows every error. Both give the same
values; only the time differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dabbawala.cel.program import SURPRISES
from dabbawala.policy.expressions import Evaluable, Identity, Variable
from dabbawala.policy.matching import Request
from dabbawala.policy.scope import Surroundings, root

__all__ = ["SURPRISES", "Unmetered"]
_SHARED = "values that policies share, unmetered"


class _Shared:
    """What policies have computed of one object. `bound` is of all of it: no policy spends more for its part."""

    __slots__ = ("bound", "values")

    def __init__(self) -> None:
        self.values: dict[Identity, Any] = {}
        self.bound = 0


class Unmetered(dict[str, Any]):
    """Maps the names of an expression to their values. Reading raises SURPRISES."""

    __slots__ = ("_around", "_request", "_shared", "_spent", "_variables")

    def __init__(self, request: Request, variables: Mapping[str, Variable], around: Surroundings) -> None:
        super().__init__(object=request.object, oldObject=request.old)
        self._request = request
        self._variables = variables
        self._around = around
        self._spent = 0
        shared = request.memo.get(_SHARED)
        if shared is None:
            shared = request.memo[_SHARED] = _Shared()
        self._shared: _Shared = shared

    @property
    def bound(self) -> int:
        """What all that was evaluated costs at most, if no other policy had computed anything."""
        return self._spent + self._shared.bound

    def value(self, program: Evaluable) -> Any:
        """What a program says. Raises SURPRISES."""
        value, bound = program.guess(self)
        self._spent += bound
        return value

    def untrue(self, programs: Iterable[Evaluable]) -> list[int]:
        """Which of these programs do not say that it is true, by their places. Raises SURPRISES."""
        found = []
        for place, program in enumerate(programs):
            value, bound = program.guess(self)
            self._spent += bound
            if value is not True:
                found.append(place)
        return found

    def __missing__(self, name: str) -> Any:
        variable = self._variables.get(name)
        if variable is None:
            value = self[name] = root(name, self._request, self._around)
            return value
        identity, constant = variable.identity, variable.constant
        if constant is not None and self._around.params is None:
            if constant.answer is None:
                constant.answer = Unmetered(self._request, self._variables, self._around)._alone(variable.program)
            value, bound = constant.answer
            self._spent += bound
        elif identity is None or identity.holders == 1:
            value, bound = variable.program.guess(self)
            self._spent += bound
        else:
            values = self._shared.values
            if identity in values:
                value = values[identity]
            else:
                value = values[identity] = self._learnt(variable.program)
        self[name] = value
        return value

    def _alone(self, program: Evaluable) -> tuple[Any, int]:
        """What a program says, and what it costs at most where nothing that it reads has been computed yet."""
        return self.value(program), self._spent

    def _learnt(self, program: Evaluable) -> Any:
        """A value that all policies share from now on, and what it costs."""
        before = self._spent
        value = self.value(program)
        self._shared.bound += self._spent - before
        return value
