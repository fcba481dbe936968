"""What the expressions of one policy see of one request: roots and variables, each computed when it is first read.

Variables that depend on the object alone have the same value in every policy that spells them alike; it is kept with
the request. What such a value cost is charged to every policy that reads it, as if it had computed it.

Source: apiserver/pkg/admission/plugin/cel/{activation,composition,condition}.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from dabbawala.apimachinery.meta import Object
from dabbawala.cel.errors import CostExceeded, EvaluationError
from dabbawala.cel.program import Budget, Program
from dabbawala.cel.times import to_timestamp
from dabbawala.policy import authorizers
from dabbawala.policy.access import Authorizer, User
from dabbawala.policy.expressions import AUTHORIZER, REQUEST_RESOURCE, Evaluable, Identity, Variable
from dabbawala.policy.matching import Request

_REQUEST_VALUE = "request"
_NAMESPACE_FIELDS = (
    "name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp",
    "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "finalizers",
)  # fmt: skip

_TIMES = ("creationTimestamp", "deletionTimestamp")


class Surroundings(NamedTuple):
    """What an evaluation may look at beside the request itself."""

    namespace: Object | None = None
    params: Object | None = None
    authorizer: Authorizer | None = None
    extra: Mapping[str, Any] = MappingProxyType({})
    """What the dialect's own variables stand for."""


_Parts = dict[Identity, tuple[Evaluable, int]]
"""The programs that a value was computed with, its own and those of what it read, with the bound of what each costs."""


class _Known(NamedTuple):
    """The value of a variable for one object, or the error."""

    value: Any
    error: EvaluationError | None
    parts: _Parts
    bound: int


class Scope(dict[str, Any]):
    """Maps the names of an expression to their values. Everything computed here is charged to the budget; `owed` is the
    bound of what was taken from other policies, which is paid for only when it might matter."""

    __slots__ = (
        "_around", "_failed", "_learning", "_paid", "_request", "_taken", "_touched", "_variables", "budget", "owed",
    )  # fmt: skip

    def __init__(
        self, request: Request, variables: Mapping[str, Variable], around: Surroundings, budget: Budget
    ) -> None:
        super().__init__(object=request.object, oldObject=request.old)
        self._request = request
        self._variables = variables
        self._around = around
        self._failed: dict[str, EvaluationError] = {}
        self._paid: set[Identity] = set()
        self._learning = 0  # the bounds of what has been learnt here
        self._taken: list[_Parts] = []
        self._touched: _Parts | None = None
        self.budget = budget
        self.owed = 0

    def __missing__(self, name: str) -> Any:
        variable = self._variables.get(name)
        if variable is None:
            value = self[name] = root(name, self._request, self._around)
            return value
        if name in self._failed:
            raise self._failed[name]
        identity = variable.identity
        try:
            if identity is None or identity.holders == 1:
                value = variable.program.evaluate(self, budget=self.budget)
            else:
                value = self._shared(identity, variable.program)
        except CostExceeded:
            raise
        except EvaluationError as error:
            self._failed[name] = wrapped = _of_variable(variable, error)
            raise wrapped from error
        self[name] = value
        return value

    # Values that policies share ----------------------------------------------------------------------------------

    def _shared(self, identity: Identity, program: Evaluable) -> Any:
        memo = self._request.memo
        known: _Known | None = memo.get(identity)
        if known is None:
            known = memo[identity] = self._learnt(identity, program)
        else:
            self._taken.append(known.parts)
            self.owed += known.bound
        if self._touched is not None:
            self._touched.update(known.parts)
        if known.error is not None:
            raise known.error
        return known.value

    def _learnt(self, identity: Identity, program: Evaluable) -> _Known:
        """Compute the value. What is learnt on the way has been paid for, so that the rest is the variable's own."""
        outer, self._touched = self._touched, {}
        before = self.budget.left + self._learning
        value, failure = None, None
        try:
            value = program.evaluate(self, budget=self.budget)
        except CostExceeded:
            raise
        except EvaluationError as error:
            failure = error
        parts, self._touched = self._touched, outer
        own = max(before - self.budget.left - self._learning, 0)
        self._learning += own
        self._paid.add(identity)
        parts[identity] = (program, own)
        return _Known(value, failure, parts, sum(bound for _, bound in parts.values()))

    def overdrawn(self) -> bool:
        """Whether all that was evaluated, and all that was taken from others, is over the budget."""
        if self.owed > self.budget.left:
            self.settle()
        return self.budget.left < 0

    def settle(self) -> None:
        """Pay exactly for what was taken, each part once, as if it had been computed here."""
        for parts in self._taken:
            for identity, (program, _) in parts.items():
                if identity not in self._paid and isinstance(program, Program):
                    self._paid.add(identity)
                    self.budget.charge(program.cost(self))
        self._taken.clear()
        self.owed = 0


def root(name: str, request: Request, around: Surroundings) -> Any:
    """The value of a name that is no variable of the policy. Raises EvaluationError."""
    if name == "request":
        return request_value(request)
    if name == "namespaceObject":
        return namespace_value(around.namespace)
    if name == "params":
        return around.params
    if name in around.extra:
        return around.extra[name]
    if around.authorizer is not None and name == AUTHORIZER:
        return authorizers.of(around.authorizer, request)
    if around.authorizer is not None and name == REQUEST_RESOURCE:
        return authorizers.of_request(around.authorizer, request)
    raise EvaluationError(f"no such attribute(s): {name}")


def _of_variable(variable: Variable, error: EvaluationError) -> EvaluationError:
    if error.message.startswith("composited variable "):
        return error
    return EvaluationError(f'composited variable "{variable.name}" fails to evaluate: {error.message}')


def request_value(request: Request) -> Object:
    """The `request` of expressions: an AdmissionRequest without its objects, empty fields left out."""
    known: Object | None = request.memo.get(_REQUEST_VALUE)
    if known is None:
        known = request.memo[_REQUEST_VALUE] = _request_value(request)
    return known


def _request_value(request: Request) -> Object:
    asked = request.original or request
    value: Object = {
        "kind": _kind_value(request),
        "resource": {"group": request.group, "version": request.version, "resource": request.resource},
        "requestKind": _kind_value(asked),
        "requestResource": {"group": asked.group, "version": asked.version, "resource": asked.resource},
        "operation": request.operation,
        "userInfo": _user_value(request.user),
        "dryRun": request.dry_run,
        "options": None if request.options is None else dict(request.options),
    }
    optional = {
        "subResource": request.subresource,
        "requestSubResource": request.subresource,
        "name": request.name,
        "namespace": request.namespace,
    }
    return {**value, **{field: text for field, text in optional.items() if text}}


def _kind_value(request: Request) -> Object:
    group, version, kind = request.written or (request.group, request.version, request.kind)
    return {"group": group, "version": version, "kind": kind}


def _user_value(user: User) -> Object:
    extra = {key: list(values) for key, values in user.extra.items()}
    shown = {"username": user.name, "uid": user.uid, "groups": list(user.groups), "extra": extra}
    return {field: value for field, value in shown.items() if value}


def namespace_value(namespace: Object | None) -> Object | None:
    """The `namespaceObject` of expressions: metadata without owners and managers, spec and status."""
    if namespace is None:
        return None
    metadata = namespace.get("metadata") or {}
    shown = {field: metadata[field] for field in _NAMESPACE_FIELDS if field in metadata}
    shown |= {field: to_timestamp(shown[field]) for field in _TIMES if field in shown}
    return {
        "metadata": shown,
        "spec": namespace.get("spec") or {},
        "status": namespace.get("status") or {},
    }
