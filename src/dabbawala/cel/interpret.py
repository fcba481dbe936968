"""The exact evaluator: a walk of the tree that absorbs errors as the language says and counts cost as Kubernetes does.

It runs when the compiled program met an error or may be over its budget, so it is written for exactness alone.
`&&` and `||` are commutative over errors: `error && false` is false. A comprehension goes on over errors, because a
later step may absorb them. Cost is what cel-go's tracker observes: every chain of selections one unit and each part of
it another, but nothing for the tested field of `has` and nothing for a chain that a conditional chose; calls as
`cost.py` says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dabbawala.cel import cost, values
from dabbawala.cel.cost import Rule
from dabbawala.cel.errors import CostExceeded, EvaluationError
from dabbawala.cel.tree import Call, Const, Fold, Ident, ListOf, MapOf, Node, Select
from dabbawala.cel.values import Optional

_ABSENT = object()
_INDEXING = ("_[_]", "_?._", "_[?_]")
_UNLIMITED = 2**62


@dataclass(slots=True)
class Evaluation:
    """One evaluation: what it may read, and what it has cost. Without `folding` constants cost as other values do, as
    in cel-go's own tables of costs."""

    variables: Mapping[str, Any]
    functions: Mapping[str, Callable[..., Any]]
    limit: int = _UNLIMITED
    folding: bool = True
    cost: int = 0
    failed_at: int = 0  # the id of the node whose error came first
    rules: dict[int, int | Rule] = field(default_factory=dict)  # of calls by identity; may be shared
    locals: dict[str, Any] = field(default_factory=dict)

    def run(self, root: Node) -> Any:
        """The value of a tree. Raises EvaluationError, and CostExceeded over the limit."""
        try:
            return value_of(self, root)
        except RecursionError:
            raise EvaluationError("the expression or its data is nested too deeply") from None

    def charge(self, amount: int) -> None:
        self.cost += amount
        if self.cost > self.limit:
            raise CostExceeded("operation cancelled: actual cost limit exceeded")


def value_of(run: Evaluation, node: Node) -> Any:
    return _VISITS[type(node)](run, node)


def attempt(run: Evaluation, node: Node) -> Any:
    """The value, or the error as a value: what holds it may yet absorb it."""
    try:
        return value_of(run, node)
    except CostExceeded:
        raise
    except EvaluationError as error:
        if not run.failed_at:
            run.failed_at = node.id
        return error


def _failed(run: Evaluation, node: Node, error: EvaluationError) -> EvaluationError:
    run.failed_at = node.id
    return error


def _const(run: Evaluation, node: Const) -> Any:
    return node.value


def _ident(run: Evaluation, node: Ident) -> Any:
    run.charge(1)
    return _named(run, node)


def _named(run: Evaluation, node: Ident) -> Any:
    found = run.locals.get(node.name, _ABSENT)
    if found is not _ABSENT:
        if isinstance(found, EvaluationError):
            raise found
        return found
    try:
        return run.variables[node.name]
    except KeyError:
        if node.name in values.TYPE_IDENTS:
            return values.TypeValue(values.TYPE_IDENTS[node.name])
        raise _failed(run, node, EvaluationError(f"no such attribute(s): {node.name}")) from None


def _chain(run: Evaluation, node: Node) -> Any:
    """A chain of selections as a whole; one that starts with a conditional has no cost of its own."""
    start = node
    while True:
        if isinstance(start, Select):
            start = start.operand
        elif isinstance(start, Call) and start.function in _INDEXING:
            start = start.arguments[0]
        else:
            break
    if not (isinstance(start, Call) and start.function == "_?_:_"):
        run.charge(1)
    return _qualified(run, node)


def _qualified(run: Evaluation, node: Node) -> Any:
    """What a node means within a chain: without the unit for the chain."""
    if isinstance(node, Ident):
        return _named(run, node)
    if isinstance(node, Select):
        return _selected(run, node)
    if isinstance(node, Call) and node.function in _INDEXING:
        return _indexed(run, node)
    return value_of(run, node)


def _selected(run: Evaluation, node: Select) -> Any:
    value = _qualified(run, node.operand)
    try:
        if node.test:
            return values.has(value, node.field)
        run.charge(1)
        return values.select(value, node.field)
    except CostExceeded:
        raise
    except EvaluationError as error:
        raise _failed(run, node, error) from None


def _indexed(run: Evaluation, node: Call) -> Any:
    value, key = _qualified(run, node.arguments[0]), _qualified(run, node.arguments[1])
    run.charge(1)
    try:
        return values.index(value, key) if node.function == "_[_]" else values.lookup(value, key)
    except EvaluationError as error:
        raise _failed(run, node, error) from None


def _list(run: Evaluation, node: ListOf) -> Any:
    made = []
    for place, element in enumerate(node.elements):
        made += _elements(run, element, place in node.optional)
    if not run.folding or not cost.is_constant(node):
        run.charge(cost.LIST)
    return made


def _elements(run: Evaluation, node: Node, optional: bool) -> list[Any]:
    value = value_of(run, node)
    if not optional:
        return [value]
    if not isinstance(value, Optional):
        raise _failed(run, node, EvaluationError("cannot initialize optional list element from non-optional value"))
    return [value.value] if value.present else []


def _map(run: Evaluation, node: MapOf) -> Any:
    entries = []
    for key_node, value_node, optional in node.entries:
        key = value_of(run, key_node)
        entries += [(key, value) for value in _elements(run, value_node, optional)]
    if not run.folding or not cost.is_constant(node):
        run.charge(cost.MAP)
    try:
        return values.as_map(entries)
    except EvaluationError as error:
        raise _failed(run, node, error) from None


def _fold(run: Evaluation, node: Fold) -> Any:
    source = value_of(run, node.range)
    if not isinstance(source, list) and not values.is_map(source):
        name = values.type_of(source).name
        raise _failed(run, node.range, EvaluationError(f"got '{name}', expected iterable type"))
    names = (node.variable, node.accumulator)
    saved = {name: run.locals[name] for name in names if name in run.locals}
    accumulated = attempt(run, node.initial)
    try:
        for element in source:
            run.locals[node.accumulator], run.locals[node.variable] = accumulated, element
            if attempt(run, node.condition) is False:
                break
            accumulated = attempt(run, node.step)
        run.locals[node.accumulator] = accumulated
        return value_of(run, node.result)
    finally:
        for name in names:
            run.locals.pop(name, None)
        run.locals.update(saved)


def _call(run: Evaluation, node: Call) -> Any:
    special = _SPECIAL.get(node.function)
    if special is not None:
        return special(run, node)
    arguments = [attempt(run, argument) for argument in node.arguments]
    for argument in arguments:
        if isinstance(argument, EvaluationError):
            return _failed_call(run, node, arguments)
    function = run.functions.get(node.overloads[0]) if len(node.overloads) == 1 else None
    try:
        result = (function or run.functions[node.function])(*arguments)
    except CostExceeded:
        raise
    except EvaluationError as error:
        run.charge(_cost(run, node, arguments, error))
        raise _failed(run, node, error) from None
    run.charge(_cost(run, node, arguments, result))
    return result


def _failed_call(run: Evaluation, node: Call, arguments: list[Any]) -> Any:
    """A call with an argument that failed. cel-go charges it when it has looked at all of them: up to two."""
    if len(arguments) < 3:
        run.charge(_cost(run, node, [0 if isinstance(one, EvaluationError) else one for one in arguments], 0))
    raise next(one for one in arguments if isinstance(one, EvaluationError))


def _cost(run: Evaluation, node: Call, arguments: list[Any], result: Any) -> int:
    rule = run.rules.get(id(node))
    if rule is None:
        rule = run.rules[id(node)] = cost.applied(node, folding=run.folding)
    return rule if isinstance(rule, int) else rule(arguments, result)


def _logic(run: Evaluation, node: Call) -> Any:
    decisive = node.function == "_||_"
    first: EvaluationError | None = None
    for argument in node.arguments:
        value = attempt(run, argument)
        if value is decisive:
            return decisive
        if value is not (not decisive) and first is None:
            first = value if isinstance(value, EvaluationError) else _failed(run, node, _no_overload())
    if first is not None:
        raise first
    return not decisive


def _ternary(run: Evaluation, node: Call) -> Any:
    condition, truthy, falsy = node.arguments
    chosen = value_of(run, condition)
    if chosen is not True and chosen is not False:
        raise _failed(run, node, _no_overload())
    return _qualified(run, truthy if chosen else falsy)


def _not_strictly_false(run: Evaluation, node: Call) -> Any:
    value = attempt(run, node.arguments[0])
    run.charge(1)
    return value is not False


def _otherwise(run: Evaluation, node: Call) -> Any:
    """`or` and `orValue`: the second argument is evaluated only when the first is absent."""
    first = value_of(run, node.arguments[0])
    if not isinstance(first, Optional):
        raise _failed(run, node, _no_overload())
    if first.present:
        return first if node.function == "or" else first.value
    return value_of(run, node.arguments[1])


def _no_overload() -> EvaluationError:
    return EvaluationError("no such overload")


_VISITS: dict[type, Callable[[Evaluation, Any], Any]] = {
    Const: _const,
    Ident: _ident,
    Select: _chain,
    Call: _call,
    ListOf: _list,
    MapOf: _map,
    Fold: _fold,
}
_SPECIAL: dict[str, Callable[[Evaluation, Call], Any]] = {
    "_&&_": _logic,
    "_||_": _logic,
    "_?_:_": _ternary,
    "@not_strictly_false": _not_strictly_false,
    **dict.fromkeys(_INDEXING, _chain),
    "or": _otherwise,
    "orValue": _otherwise,
}
