"""Which fields of an object a policy looks at, kind by kind: read off its expressions, never asked of its author.

Two objects of one kind that agree in these fields get the same verdict, because nothing else of them enters it. So an
update that changes none of them can be let pass: it makes nothing worse. What cannot be followed (an expression that
takes the whole object, one that looks at the old object too) counts as looking at everything.

A variable is followed to the fields that it stands for: where `variables.pod` is `object.spec` for a Pod and
`object.spec.template.spec` for a Deployment, `variables.pod.containers` is one field of each. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from dabbawala.apimachinery.meta import Object
from dabbawala.cel.program import Program
from dabbawala.cel.tree import Call, Const, Fold, Ident, ListOf, MapOf, Node, Select
from dabbawala.guard.resources import Resources
from dabbawala.policy.admission import CompiledPolicy
from dabbawala.policy.expressions import VARIABLES

Path = tuple[str, ...]
Paths = frozenset[Path]
EVERYTHING: Paths = frozenset({()})
NOTHING: Paths = frozenset()
FIELDS_MAX = 12
"""Of one kind; a policy that looks at more is taken to look at what these are parts of."""
ANY_KIND = ""
"""Stands for kinds that nobody can name, such as those of the resource `*`."""

_OBJECT, _OLD = "object", "oldObject"
# The same in every version of one object.
_CONSTANT = frozenset(
    {("kind",), ("apiVersion",), ("metadata", "name"), ("metadata", "namespace"), ("metadata", "uid")}
)
_STEPS = frozenset({"_?._", "_[_]", "_[?_]"})
_EMPTY = ("", None)


def of(policy: CompiledPolicy) -> Mapping[str, Paths]:
    """The fields by kind; a policy without resource rules is about ANY_KIND."""
    kinds = kinds_of(policy.policy)
    return {kind: _shortened(_Reading(policy, kind).fields()) for kind in kinds}


def kinds_of(policy: Object) -> tuple[str, ...]:
    """The kinds that a policy's rules name, in their order."""
    known = Resources()
    rules: Sequence[Mapping[str, Any]] = _constraints(policy).get("resourceRules") or ()
    found = [
        known.kind_of(group, resource.partition("/")[0]) or ANY_KIND
        for rule in rules
        for group in rule.get("apiGroups") or ()
        for resource in rule.get("resources") or ()
    ]
    return tuple(dict.fromkeys(found)) or (ANY_KIND,)


def _constraints(policy: Object) -> Object:
    found: Object = policy["spec"].get("matchConstraints") or {}
    return found


def _shortened(paths: Paths) -> Paths:
    """Without what is constant and what lies below another one; parents instead of too many children."""
    found = paths - _CONSTANT
    while len(found := _outermost(found)) > FIELDS_MAX:
        longest = max(map(len, found))
        found = frozenset(path[:-1] if len(path) == longest else path for path in found)
    return found


def _outermost(paths: Paths) -> Paths:
    return frozenset(path for path in paths if not any(path[:length] in paths for length in range(len(path))))


class _Reading:
    """One policy as it is about objects of one kind."""

    def __init__(self, policy: CompiledPolicy, kind: str) -> None:
        self._policy = policy
        self._kind = kind
        self._known: dict[str, Paths] = {}

    def fields(self) -> Paths:
        conditions = [item.program for item in self._policy.conditions]
        asked = [item.program for item in self._policy.validations]
        found = frozenset().union(*(self._program(program) for program in [*conditions, *asked]))
        selects = bool(_constraints(self._policy.policy).get("objectSelector"))
        return found | {("metadata", "labels")} if selects else found

    def _program(self, program: object) -> Paths:
        """What does not compile is an error whatever the object is; it is not for us to let it pass."""
        return self._reads(program.tree) if isinstance(program, Program) else EVERYTHING

    def _reads(self, node: Node) -> Paths:
        path = self._path(node)
        if path is not None:
            return frozenset({path})
        match node:
            case Ident(name=name) if name == _OLD:
                return EVERYTHING
            case Ident(name=name) if name.startswith(VARIABLES):
                return self._variable(name)
            case Fold() if _OBJECT in (node.variable, node.accumulator):
                return EVERYTHING
            case Call(function="_?_:_", arguments=(condition, yes, no)):
                known = self._known_truth(condition)
                return self._all((condition, yes, no)) if known is None else self._reads(yes if known else no)
            case Call(function="_&&_" | "_||_") if self._known_truth(node) is not None:
                return NOTHING
            case _:
                return self._all(_parts(node))

    def _all(self, nodes: Iterable[Node]) -> Paths:
        return frozenset().union(*map(self._reads, nodes))

    def _variable(self, name: str) -> Paths:
        if name not in self._known:
            self._known[name] = EVERYTHING  # of one that reads itself, which there is none
            self._known[name] = self._program(self._policy.variables[name].program)
        return self._known[name]

    def _path(self, node: Node) -> Path | None:
        """The field of the object that an expression is, or is part of the text of: `dyn(object).?spec[?'x']`."""
        match node:
            case Ident(name="object"):
                return ()
            case Ident(name=name) if name.startswith(VARIABLES):
                program = self._policy.variables[name].program
                return self._path(program.tree) if isinstance(program, Program) else None
            case Select(operand=operand, field=field):
                return self._below(operand, field)
            case Call(function=step, arguments=(operand, Const(value=str(field)))) if step in _STEPS:
                return self._below(operand, field)
            case Call(function="dyn", arguments=(operand,)):
                return self._path(operand)
            case Call(function="orValue", arguments=(operand, default)) if _is_empty(default):
                return self._path(operand)
            case Call(function="_?_:_", arguments=(condition, yes, no)):
                known = self._known_truth(condition)
                return None if known is None else self._path(yes if known else no)
        return None

    def _below(self, operand: Node, field: str) -> Path | None:
        path = self._path(operand)
        return None if path is None else (*path, field)

    def _known_truth(self, node: Node) -> bool | None:
        """Whether a condition about the kind holds; None where it is about something else, too."""
        match node:
            case Call(function="_==_" | "_!=_" as compared, arguments=(left, Const(value=value))):
                return None if not self._is_kind(left) else (self._kind == value) is (compared == "_==_")
            case Call(function="@in", arguments=(left, ListOf(elements=elements))) if self._is_kind(left):
                known = all(isinstance(item, Const) for item in elements)
                return any(isinstance(item, Const) and item.value == self._kind for item in elements) if known else None
            case Call(function="!_", arguments=(inner,)):
                truth = self._known_truth(inner)
                return None if truth is None else not truth
            case Call(function="_&&_", arguments=parts):
                return _joined(map(self._known_truth, parts), deciding=False)
            case Call(function="_||_", arguments=parts):
                return _joined(map(self._known_truth, parts), deciding=True)
        return None

    def _is_kind(self, node: Node) -> bool:
        return self._kind != ANY_KIND and self._path(node) == ("kind",)


def _joined(truths: Iterator[bool | None], *, deciding: bool) -> bool | None:
    """Of a conjunction, which one False decides, or a disjunction, which one True does."""
    found = list(truths)
    if deciding in found:
        return deciding
    return None if None in found else not deciding


def _is_empty(node: Node) -> bool:
    match node:
        case Const(value=value):
            return value in _EMPTY
        case ListOf(elements=()) | MapOf(entries=()):
            return True
    return False


def _parts(node: Node) -> Iterator[Node]:
    take: Callable[[Any], Iterable[Node]] = _PARTS[type(node)]
    yield from take(node)


_PARTS: Mapping[type, Callable[[Any], Iterable[Node]]] = {
    Const: lambda node: (),
    Ident: lambda node: (),
    Select: lambda node: (node.operand,),
    Call: lambda node: node.arguments,
    ListOf: lambda node: node.elements,
    MapOf: lambda node: (part for key, value, _ in node.entries for part in (key, value)),
    Fold: lambda node: (node.range, node.initial, node.condition, node.step, node.result),
}
