"""`/metrics`: what the API server counts, under the names, labels and values that dashboards of Kubernetes ask for.

Only what is read by somebody: audit events, what admission policies did, what Pod Security decided. Series of policies
end with their binding, all others are as many as there are words for them, so that nothing here grows.

Sources: apiserver/pkg/audit/metrics.go, apiserver/pkg/admission/plugin/policy/validating/metrics,
k8s.io/pod-security-admission/metrics.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from dabbawala.cluster.apiserver.request import Request
from dabbawala.cluster.apiserver.response import Response
from dabbawala.policy.enforcement import Act

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.0000005, 0.001, 0.01, 0.1, 1.0)
"""Of an evaluation, in seconds; upstream's."""
POLICY = ("enforcement_action", "error_type", "policy", "policy_binding")
EVALUATION = (
    "decision", "mode", "policy_level", "policy_version", "request_operation", "resource", "subresource",
)  # fmt: skip
_WRITE = ("request_operation", "resource", "subresource")

Labels = tuple[tuple[str, str], ...]
Row = tuple[str, str, str, Labels, float]


class Evaluation(NamedTuple):
    """One decision of Pod Security; the fields are the labels, in their order."""

    decision: str
    mode: str
    policy_level: str
    policy_version: str
    request_operation: str
    resource: str
    subresource: str


class Write(NamedTuple):
    """What was written: the fields are labels, in their order."""

    request_operation: str
    resource: str
    subresource: str


class Metrics:
    """The counters of one server. Each is written by one thread; the page may be rendered while others count."""

    def __init__(self) -> None:
        self.audits = False
        """Whether there is an audit log to be counted."""
        self.audit_events = 0
        self.audit_errors = {"buffered": 0, "log": 0}
        self.evaluations: Counter[Evaluation] = Counter()
        self.exemptions: Counter[Write] = Counter()
        self.errors: Counter[tuple[bool, Write]] = Counter()
        self._acts: dict[Act, tuple[list[int], list[float]]] = {}

    def acted(self, acts: Iterable[Act], seconds: float) -> None:
        """What came of the evaluation of one policy, and how long that took."""
        for act in acts:
            counts, total = self._acts.setdefault(act, ([0] * (len(BUCKETS) + 1), [0.0]))
            counts[bisect_left(BUCKETS, seconds)] += 1
            total[0] += seconds

    def keep(self, bound: Collection[tuple[str, str]]) -> None:
        """Only these policies, with their bindings, are there now."""
        for act in [act for act in self._acts if (act.policy, act.binding) not in bound]:
            del self._acts[act]

    async def page(self, request: Request) -> Response:
        return Response(200, self.render().encode(), {"content-type": CONTENT_TYPE})

    def render(self) -> str:
        """The text exposition of everything."""
        lines: list[str] = []
        last = ""
        for name, kind, text, labels, value in (*self._audit(), *self._policies(), *self._pod_security()):
            family = name.rpartition("_")[0] if kind == "histogram" else name
            if family != last:
                lines += [f"# HELP {family} {text}", f"# TYPE {family} {kind}"]
                last = family
            shown = ",".join(f'{label}="{_escaped(said)}"' for label, said in labels)
            lines.append(f"{name}{{{shown}}} {_number(value)}" if shown else f"{name} {_number(value)}")
        return "\n".join([*lines, ""])

    def _audit(self) -> Iterator[Row]:
        if not self.audits:
            return
        for plugin, count in self.audit_errors.items():
            text = "Audit events that are not in the log, by what failed: buffered (too many at once), log (the disk)."
            yield "apiserver_audit_error_total", "counter", text, (("plugin", plugin),), count
        text = "Audit events sent to the audit log."
        yield "apiserver_audit_event_total", "counter", text, (), self.audit_events
        text = "Requests rejected because the audit log failed: none, as requests do not wait for it."
        yield "apiserver_audit_requests_rejected_total", "counter", text, (), 0

    def _policies(self) -> Iterator[Row]:
        acts = sorted(self._acts.items())
        for act, (counts, _) in acts:
            text = "What admission policies did, by policy, binding and action; a validation that holds is not counted."
            yield "apiserver_validating_admission_policy_check_total", "counter", text, _of(act), sum(counts)
        for act, (counts, total) in acts:
            yield from _histogram("apiserver_validating_admission_policy_check_duration_seconds", act, counts, total[0])

    def _pod_security(self) -> Iterator[Row]:
        for (fatal, write), count in sorted(self.errors.items()):
            text = "Writes that Pod Security could not judge as the namespace's labels mean it."
            labels = (("fatal", str(fatal).lower()), *zip(_WRITE, write, strict=True))
            yield "pod_security_errors_total", "counter", text, labels, count
        for evaluation, count in sorted(self.evaluations.items()):
            text = "Decisions of Pod Security, without those on requests that are ignored or exempt."
            labels = tuple(zip(EVALUATION, evaluation, strict=True))
            yield "pod_security_evaluations_total", "counter", text, labels, count
        for write, count in sorted(self.exemptions.items()):
            text = "Writes that are exempt from Pod Security."
            yield "pod_security_exemptions_total", "counter", text, tuple(zip(_WRITE, write, strict=True)), count


def _histogram(name: str, act: Act, counts: list[int], total: float) -> Iterator[Row]:
    text = "How long a policy was evaluated that did something: all its expressions together."
    seen = 0
    for bound, count in zip((*map(_number, BUCKETS), "+Inf"), list(counts), strict=True):
        seen += count
        yield f"{name}_bucket", "histogram", text, (*_of(act), ("le", bound)), seen
    yield f"{name}_sum", "histogram", text, _of(act), total
    yield f"{name}_count", "histogram", text, _of(act), seen


def _of(act: Act) -> Labels:
    return tuple(zip(POLICY, (act.action, act.error, act.policy, act.binding), strict=True))


def _number(value: float) -> str:
    """Whole numbers in full, without a point."""
    return str(int(value)) if float(value).is_integer() else repr(value)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
