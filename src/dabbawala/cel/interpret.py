"""The exact evaluator: a walk of the tree that absorbs errors as the language says and counts cost as Kubernetes does.

It runs when the compiled program met an error or may be over its budget, so it is written for exactness alone.
`&&` and `||` are commutative over errors: `error && false` is false. A comprehension of a macro goes on over errors
until its condition is false. Cost follows cel-go's runtime tracker (interpreter/runtimecost.go) and Kubernetes'
estimator (apiserver/pkg/cel/library/cost.go); what each function costs stands in `cost.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dabbawala.cel import cost, values
from dabbawala.cel.errors import CostExceeded, EvaluationError
from dabbawala.cel.tree import Call, Checked, Const, Fold, Ident, ListOf, MapOf, Node, Select
from dabbawala.cel.values import NOTHING, Optional

_ABSENT = object()


class Interpreter:
    """One evaluation. `cost` is what it has cost so far; over `limit` it raises CostExceeded."""

    def __init__(
        self, checked: Checked, variables: Mapping[str, Any], *, functions: Mapping[str, Any], limit: int
    ) -> None:
        self._checked, self._variables, self._functions, self._limit = checked, variables, functions, limit
        self._locals: dict[str, Any] = {}
        self.cost = 0
        self.failed_at = 0  # the id of the innermost node whose error came out

    def run(self) -> Any:
        try:
            return self._value(self._checked.root)
        except RecursionError:
            raise EvaluationError("the expression or its data is nested too deeply") from None

    def charge(self, amount: int) -> None:
        self.cost += amount
        if self.cost > self._limit:
            raise CostExceeded("operation cancelled: actual cost limit exceeded")

    def _value(self, node: Node) -> Any:
        return _VISITS[type(node)](self, node)

    def _failing(self, node: Node, error: EvaluationError) -> EvaluationError:
        if not error.line:
            self.failed_at = self.failed_at or node.id
        return error

    def const(self, node: Const) -> Any:
        return node.value

    def ident(self, node: Ident) -> Any:
        self.charge(1)
        return self._named(node)

    def _named(self, node: Ident) -> Any:
        found = self._locals.get(node.name, _ABSENT)
        if found is not _ABSENT:
            return found
        try:
            return self._variables[node.name]
        except KeyError:
            if node.name in values.TYPE_IDENTS:
                return values.TypeValue(values.TYPE_IDENTS[node.name])
            raise EvaluationError(f"no such attribute(s): {node.name}") from None

    def select(self, node: Select) -> Any:
        self.charge(1)
        return self._qualified(node)

    def _qualified(self, node: Node) -> Any:
        """An attribute without the one unit that every chain of selections costs as a whole."""
        if isinstance(node, Ident):
            return self._named(node)
        if isinstance(node, Select):
            value = self._qualified(node.operand)
            if node.test:
                return values.has(value, node.field)
            self.charge(1)
            return values.select(value, node.field)
        if isinstance(node, Call) and node.function == "_[_]":
            value = self._qualified(node.arguments[0])
            key = self._qualified(node.arguments[1])
            self.charge(1)
            return values.index(value, key)
        return self._value(node)

    def list_of(self, node: ListOf) -> Any:
        made = []
        for place, element in enumerate(node.elements):
            value = self._value(element)
            if place not in node.optional:
                made.append(value)
            elif not isinstance(value, Optional):
                raise EvaluationError("no such overload")
            elif value.present:
                made.append(value.value)
        if not cost.is_constant(node):
            self.charge(cost.LIST)
        return made

    def map_of(self, node: MapOf) -> Any:
        entries = []
        for key_node, value_node, optional in node.entries:
            key, value = self._value(key_node), self._value(value_node)
            if not optional:
                entries.append((key, value))
            elif not isinstance(value, Optional):
                raise EvaluationError("no such overload")
            elif value.present:
                entries.append((key, value.value))
        if not cost.is_constant(node):
            self.charge(cost.MAP)
        return values.as_map(entries)

    def fold(self, node: Fold) -> Any:
        source = self._value(node.range)
        if not isinstance(source, list) and not values.is_map(source):
            raise EvaluationError(f"got '{values.type_of(source).name}', expected iterable type")
        saved = {name: self._locals.get(name, _ABSENT) for name in (node.variable, node.accumulator)}
        accumulated = self._attempt(node.initial)
        try:
            for element in source:
                self._locals[node.accumulator], self._locals[node.variable] = accumulated, element
                if self._condition(node.condition) is False:
                    break
                accumulated = self._attempt(node.step)
            self._locals[node.accumulator] = accumulated
            return _raised(self._value(node.result))
        finally:
            for name, value in saved.items():
                if value is _ABSENT:
                    self._locals.pop(name, None)
                else:
                    self._locals[name] = value

    def _attempt(self, node: Node) -> Any:
        """The value, or the error as a value: an accumulator may hold one that a later step absorbs."""
        try:
            return self._value(node)
        except CostExceeded:
            raise
        except EvaluationError as error:
            return self._failing(node, error)

    def _condition(self, node: Node) -> Any:
        value = self._attempt(node)
        return True if isinstance(value, EvaluationError) else value

    def call(self, node: Call) -> Any:
        special = _SPECIAL.get(node.function)
        if special is not None:
            return special(self, node)
        arguments = [_raised(self._value(argument)) for argument in node.arguments]
        try:
            result = self._functions[node.function](*arguments)
        except CostExceeded:
            raise
        except EvaluationError as error:
            self.charge(1)
            raise self._failing(node, error) from None
        self.charge(cost.of_call(node, arguments, result))
        return result

    def logic(self, node: Call) -> Any:
        decisive = node.function == "_||_"
        errors = []
        for argument in node.arguments:
            value = self._attempt(argument)
            if value is decisive:
                return decisive
            if isinstance(value, EvaluationError):
                errors.append(value)
            elif value is not (not decisive):
                errors.append(EvaluationError("no such overload"))
        if errors:
            raise errors[0]
        return not decisive

    def ternary(self, node: Call) -> Any:
        condition, truthy, falsy = node.arguments
        chosen = self._value(condition)
        if chosen is not True and chosen is not False:
            raise _raised_or("no such overload", chosen)
        return self._value(truthy if chosen else falsy)

    def not_strictly_false(self, node: Call) -> Any:
        value = self._attempt(node.arguments[0])
        return value is not False

    def index(self, node: Call) -> Any:
        self.charge(1)
        return self._qualified(node)

    def optional_part(self, node: Call) -> Any:
        self.charge(2)
        operand, key = (_raised(self._value(argument)) for argument in node.arguments)
        return values.lookup(operand, key)

    def otherwise(self, node: Call) -> Any:
        """`or` and `orValue`: the second argument is evaluated only when the first is absent."""
        first = _raised(self._value(node.arguments[0]))
        if not isinstance(first, Optional):
            raise EvaluationError("no such overload")
        self.charge(1)
        if first.present:
            return first if node.function == "or" else first.value
        return self._value(node.arguments[1])


def _raised(value: Any) -> Any:
    """The value, unless it is an error that an accumulator held."""
    if isinstance(value, EvaluationError):
        raise value
    return value


def _raised_or(message: str, value: Any) -> EvaluationError:
    return value if isinstance(value, EvaluationError) else EvaluationError(message)


_VISITS: dict[type, Callable[[Interpreter, Any], Any]] = {
    Const: Interpreter.const,
    Ident: Interpreter.ident,
    Select: Interpreter.select,
    Call: Interpreter.call,
    ListOf: Interpreter.list_of,
    MapOf: Interpreter.map_of,
    Fold: Interpreter.fold,
}
_SPECIAL: dict[str, Callable[[Interpreter, Call], Any]] = {
    "_&&_": Interpreter.logic,
    "_||_": Interpreter.logic,
    "_?_:_": Interpreter.ternary,
    "@not_strictly_false": Interpreter.not_strictly_false,
    "_[_]": Interpreter.index,
    "_?._": Interpreter.optional_part,
    "_[?_]": Interpreter.optional_part,
    "or": Interpreter.otherwise,
    "orValue": Interpreter.otherwise,
}
__all__ = ["NOTHING", "Interpreter"]
