"""ValidatingAdmissionPolicy as a pure computation: what a policy says of a request.

    matching  ->  match conditions  ->  validations  ->  messages of those that fail  ->  values for the audit log

A scanner needs nothing but `CompiledPolicy.of(policy)` and a `Request`; a server adds namespaces, parameters, an
authorizer and a budget. Bindings are in `enforcement`.

Only the messages of validations that fail are computed. Upstream computes all of them, which makes a difference only to
a policy whose messages alone spend its budget.

Source: apiserver/pkg/admission/plugin/policy/validating/{plugin,validator}.go, webhook/matchconditions/matcher.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.cel.errors import EvaluationError
from dabbawala.cel.program import Budget
from dabbawala.policy.expressions import AUTHORIZER, VARIABLES, Compiler, Dialect, Evaluable, Fault, Variable
from dabbawala.policy.matching import Matcher, Request
from dabbawala.policy.scope import Scope, Surroundings
from dabbawala.policy.unmetered import SURPRISES, Unmetered
from dabbawala.policy.verdicts import INVALID, WHOLE, AuditValue, Outcome, Verdict

EVALUATION_BUDGET = 10_000_000
"""Of one policy for one request and parameter, in CEL's units: about a second."""
CONDITIONS_BUDGET = 2_500_000
"""Of all match conditions of a policy for one request."""
MAX_MESSAGE_BYTES = 5 * 1024
"""A longer message than this, or one of several lines, is not used."""
_OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"
_DIALECT = Dialect()
_ALONE = Surroundings()
_COMPILED = ("paramKind", "variables", "matchConditions", "validations", "auditAnnotations")
_NO_VALUES: Mapping[str, Any] = MappingProxyType({})


class Values(Mapping[str, Any]):
    """The variables of a policy, for whoever is no expression; `known` are those that an evaluation has computed."""

    def __init__(
        self,
        request: Request,
        variables: Mapping[str, Variable],
        around: Surroundings,
        known: Unmetered | None = None,
    ) -> None:
        self._variables = variables
        self._exact = partial(Scope, request, variables, around, Budget(EVALUATION_BUDGET))
        self._scope: Scope | None = None
        self._known = known

    def __getitem__(self, name: str) -> Any:
        key = VARIABLES + name
        if key not in self._variables:
            raise KeyError(name)
        if self._known is not None:
            with suppress(*SURPRISES):
                value = self._known[key]
                if self._known.bound <= EVALUATION_BUDGET:
                    return value
        if self._scope is None:
            self._scope = self._exact()
        return self._scope[key]

    def __iter__(self) -> Iterator[str]:
        return (variable.name for variable in self._variables.values())

    def __len__(self) -> int:
        return len(self._variables)


class _Condition(NamedTuple):
    name: str
    source: str
    program: Evaluable


class _Validation(NamedTuple):
    source: str
    program: Evaluable
    message: str
    message_program: Evaluable | None
    reason: str


class _Annotation(NamedTuple):
    key: str
    source: str
    program: Evaluable


@dataclass(slots=True, eq=False)
class CompiledPolicy:
    """A ValidatingAdmissionPolicy, ready to be asked. `faults` are the expressions that do not compile; `asks` says
    whether some of them may put questions to an authorizer."""

    name: str
    policy: Object
    fails_closed: bool
    asks: bool
    matcher: Matcher
    variables: Mapping[str, Variable]
    conditions: tuple[_Condition, ...]
    validations: tuple[_Validation, ...]
    annotations: tuple[_Annotation, ...]
    faults: tuple[Fault, ...]
    _programs: tuple[Evaluable, ...]
    _passed: Verdict
    _metered: bool
    """Whether only an exact evaluation can say anything."""

    @classmethod
    def of(cls, policy: Object, dialect: Dialect = _DIALECT) -> CompiledPolicy:
        """Defaults are taken for what is left out. Raises BadRequest for a selector that is none."""
        spec: Object = policy.get("spec") or {}
        text = _text(spec)
        compiler = Compiler(dialect, spec.get("paramKind") is not None, text)
        conditions = tuple(_conditions(compiler, spec))
        for index, item in enumerate(spec.get("variables") or ()):
            compiler.variable(
                item.get("name") or "", item.get("expression") or "", f"spec.variables[{index}].expression"
            )
        validations = tuple(_validations(compiler, spec))
        annotations = tuple(_annotations(compiler, spec))
        compiler.keep()
        asks = AUTHORIZER.encode() in text if text else AUTHORIZER in str(spec)
        return cls(
            name=meta.name(policy),
            policy=policy,
            fails_closed=spec.get("failurePolicy") != "Ignore",
            asks=asks,
            matcher=Matcher(spec.get("matchConstraints")),
            variables=compiler.variables,
            conditions=conditions,
            validations=validations,
            annotations=annotations,
            faults=tuple(compiler.faults),
            _programs=tuple(item.program for item in validations),
            _passed=Verdict(tuple(Outcome(index, "pass") for index in range(len(validations)))),
            _metered=bool(annotations or compiler.faults or asks),
        )

    def match(self, request: Request, namespace: Object | None = None) -> Request | None:
        """The request to evaluate, which is another one where an equivalent resource is meant; None if the policy is
        not about it. Match conditions are part of the evaluation."""
        return self.matcher.match(request, namespace)

    def surely_matches(self, request: Request) -> bool:
        """Whether it is about every request of this kind, as it is, whatever its name, labels and namespace."""
        return self.matcher.surely_matches(request)

    def matches(self, request: Request, namespace: Object | None = None) -> bool:
        return self.matcher.match(request, namespace) is not None

    def evaluate(self, request: Request, around: Surroundings = _ALONE) -> Verdict:
        """What the policy says of a request that it matches."""
        return self.examine(request, around)[0]

    def examine(self, request: Request, around: Surroundings = _ALONE) -> tuple[Verdict, Mapping[str, Any]]:
        """As `evaluate`, with the `values` that it was said of, unless it passes."""
        excluded = self._precondition(request, around) if self.conditions else None
        if excluded is not None:
            return excluded, self.values(request, around)
        if self._metered:
            return self.exactly(request, around), self.values(request, around)
        scope = Unmetered(request, self.variables, around)
        try:
            wrong = scope.untrue(self._programs)
            if not wrong and scope.bound <= EVALUATION_BUDGET:
                return self._passed, _NO_VALUES
            verdict = self._refusal(scope, wrong) if wrong else None
        except SURPRISES:
            verdict = None
        return verdict or self.exactly(request, around), Values(request, self.variables, around, scope)

    def _refusal(self, scope: Unmetered, wrong: Sequence[int]) -> Verdict | None:
        """The verdict where some validations do not hold, if it is surely within the budget. Messages are computed with
        variables of their own, which are charged again."""
        outcomes = list(self._passed.outcomes)
        for index in wrong:
            item = self.validations[index]
            said = None if item.message_program is None else scope.value(item.message_program)
            outcomes[index] = Outcome(index, "fail", _chosen(item, said), item.reason, denies=True)
        return Verdict(tuple(outcomes)) if 2 * scope.bound <= EVALUATION_BUDGET else None

    def exactly(self, request: Request, around: Surroundings = _ALONE) -> Verdict:
        """As `evaluate` of a request that the match conditions let through, charging every step to the budget."""
        budget = Budget(EVALUATION_BUDGET)
        scope = Scope(request, self.variables, around, budget)
        wrong: list[tuple[int, EvaluationError | None]] = []
        for index, validation in enumerate(self.validations):
            try:
                if validation.program.evaluate(scope, budget=budget) is not True:
                    wrong.append((index, None))
            except EvaluationError as error:
                wrong.append((index, error))
                if scope.overdrawn():
                    break
        if scope.owed > budget.left and scope.overdrawn():
            return self._undecided(_OUT_OF_BUDGET)
        if not wrong and not self.annotations:
            return self._passed
        return self._judged(request, around._replace(authorizer=None), wrong, budget)

    def values(self, request: Request, around: Surroundings = _ALONE) -> Values:
        """The policy's variables for a request by their names, each computed when it is read. Reading raises
        EvaluationError, for a name that the policy does not declare KeyError."""
        return Values(request, self.variables, around)

    def cost(self, request: Request, around: Surroundings = _ALONE) -> int:
        """What the validations cost for a request, exactly, in CEL's units; at most a little over the budget."""
        budget = Budget(EVALUATION_BUDGET)
        scope = Scope(request, self.variables, around, budget)
        for validation in self.validations:
            with suppress(EvaluationError):
                validation.program.evaluate(scope, budget=budget)
            if scope.overdrawn():
                break
        scope.settle()
        return budget.used

    def _undecided(self, message: str) -> Verdict:
        """One error instead of all outcomes."""
        return Verdict((Outcome(WHOLE, "error", message, denies=self.fails_closed),))

    def _precondition(self, request: Request, around: Surroundings) -> Verdict | None:
        """None where all conditions hold."""
        scope = Unmetered(request, {}, around._replace(namespace=None))
        try:
            false = (item for item in self.conditions if scope.value(item.program) is not True)
            first = next(false, None)
        except SURPRISES:
            return self._exact_precondition(request, around)
        if scope.bound > CONDITIONS_BUDGET:
            return self._exact_precondition(request, around)
        return None if first is None else Verdict(excluded=first.name)

    def _exact_precondition(self, request: Request, around: Surroundings) -> Verdict | None:
        """A false condition excludes, even beside others that cannot be computed."""
        budget = Budget(CONDITIONS_BUDGET)
        scope = Scope(request, {}, around._replace(namespace=None), budget)
        errors: dict[str, str] = {}
        for condition in self.conditions:
            try:
                if condition.program.evaluate(scope, budget=budget) is not True:
                    return Verdict(excluded=condition.name)
            except EvaluationError as error:
                if budget.left < 0:
                    errors = {_OUT_OF_BUDGET: condition.name}
                    break
                errors.setdefault(_explained(condition.source, error), condition.name)
        if not errors:
            return None
        if not self.fails_closed:
            return Verdict(excluded=next(iter(errors.values())))
        return self._undecided(", ".join(errors) if len(errors) == 1 else f"[{', '.join(errors)}]")

    def _judged(
        self,
        request: Request,
        around: Surroundings,
        wrong: Sequence[tuple[int, EvaluationError | None]],
        budget: Budget,
    ) -> Verdict:
        """Messages and values for the audit log see no authorizer."""
        outcomes = list(self._passed.outcomes)
        scope = Scope(request, self.variables, around, budget)
        for index, error in wrong:
            validation = self.validations[index]
            if error is not None:
                message = _explained(validation.source, error)
                outcomes[index] = Outcome(index, "error", message, denies=self.fails_closed)
            else:
                message = _message(validation, scope)
                outcomes[index] = Outcome(index, "fail", message, validation.reason, denies=True)
            if scope.overdrawn():
                message = f"failed messageExpression: {_OUT_OF_BUDGET}"
                return Verdict(
                    tuple(Outcome(place, "error", message, denies=self.fails_closed) for place in range(len(outcomes)))
                )
        audit = self._audit(request, around)
        return self._undecided(_OUT_OF_BUDGET) if audit is None else Verdict(tuple(outcomes), audit)

    def _audit(self, request: Request, around: Surroundings) -> tuple[AuditValue, ...] | None:
        """The values that are to be written: none for null, for what is blank, and for ignored errors; None when they
        are over the budget."""
        budget = Budget(EVALUATION_BUDGET)
        scope = Scope(request, self.variables, around, budget)
        found = []
        for item in self.annotations:
            try:
                value = item.program.evaluate(scope, budget=budget)
            except EvaluationError as error:
                if scope.overdrawn():
                    return None
                if self.fails_closed:
                    found.append(AuditValue(item.key, error=_explained(item.source, error)))
                continue
            text = value.strip() if isinstance(value, str) else ""
            if text:
                found.append(AuditValue(item.key, text))
        return None if scope.overdrawn() else tuple(found)


def _text(spec: Object) -> bytes:
    """What decides what a policy's expressions compile to; nothing for what is no JSON, as YAML may be."""
    try:
        return orjson.dumps([spec.get(name) for name in _COMPILED])
    except TypeError:
        return b""


def _explained(source: str, error: EvaluationError) -> str:
    if error.message.startswith("compilation error: "):
        return error.message
    return f"expression '{source}' resulted in error: {error.message}"


def _message(validation: _Validation, scope: Scope) -> str:
    """What the message expression says, unless it says nothing that could be shown; else the message; else the
    expression."""
    said = None
    if validation.message_program is not None:
        with suppress(EvaluationError):
            said = validation.message_program.evaluate(scope, budget=scope.budget)
    return _chosen(validation, said)


def _chosen(validation: _Validation, said: Any) -> str:
    text = said.strip() if isinstance(said, str) else ""
    if text and "\n" not in text and len(text.encode()) <= MAX_MESSAGE_BYTES:
        return text
    return validation.message.strip() or f"failed expression: {validation.source.strip()}"


def _conditions(compiler: Compiler, spec: Object) -> Iterable[_Condition]:
    for index, item in enumerate(spec.get("matchConditions") or ()):
        source = item.get("expression") or ""
        program = compiler.condition(source, f"spec.matchConditions[{index}].expression")
        yield _Condition(item.get("name") or "", source, program)


def _validations(compiler: Compiler, spec: Object) -> Iterable[_Validation]:
    for index, item in enumerate(spec.get("validations") or ()):
        path = f"spec.validations[{index}]"
        source, said = item.get("expression") or "", item.get("messageExpression") or ""
        yield _Validation(
            source,
            compiler.validation(source, f"{path}.expression"),
            item.get("message") or "",
            compiler.message(said, f"{path}.messageExpression") if said.strip() else None,
            item.get("reason") or INVALID,
        )


def _annotations(compiler: Compiler, spec: Object) -> Iterable[_Annotation]:
    for index, item in enumerate(spec.get("auditAnnotations") or ()):
        source = item.get("valueExpression") or ""
        program = compiler.audit_value(source, f"spec.auditAnnotations[{index}].valueExpression")
        yield _Annotation(item.get("key") or "", source, program)
