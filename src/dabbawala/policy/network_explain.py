"""Why one place reaches another, or what stops it, as a sentence for a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dabbawala.apimachinery.meta import ObjectKey
from dabbawala.policy.network_ends import End
from dabbawala.policy.network_ports import PortRange
from dabbawala.policy.network_rulebook import HOST, NODE, OPEN, Cause, Rulebook
from dabbawala.policy.network_rules import EGRESS, INGRESS, NetworkPolicy

_POLICIES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Explanation:
    """`policies` are those that decided: the ones that admit, or the ones that isolate and do not."""

    allowed: bool
    sentence: str
    policies: tuple[ObjectKey, ...] = ()


def explained(rules: Rulebook, source: End, destination: End, port: PortRange) -> Explanation:
    for end in (source, destination):
        if end.ended:
            return Explanation(False, f"{end} has ended, and what has ended has no network.")
    if source.pod is not None and source.pod is destination.pod:
        return Explanation(True, f"{source} always reaches itself.")
    verdicts = (
        _verdict(rules, EGRESS, source, destination, port),
        _verdict(rules, INGRESS, destination, source, port),
    )
    allowed = all(verdict.allowed for verdict in verdicts)
    deciding = [verdict for verdict in verdicts if verdict.allowed is allowed]
    reasons = " and ".join(verdict.sentence for verdict in deciding if verdict.sentence) or "no pod is involved"
    named = tuple(dict.fromkeys(key for verdict in deciding for key in verdict.policies))
    return Explanation(
        allowed, f"{source} {'reaches' if allowed else 'cannot reach'} {destination} on {port}: {reasons}.", named
    )


def _verdict(rules: Rulebook, direction: str, subject: End, peer: End, port: PortRange) -> Explanation:
    asked = rules.space.at(port.protocol, port.first)
    for mask, cause in rules.causes(direction, subject, peer):
        if mask & asked:
            return _let_through(direction, subject, peer, cause)
    isolating = [policy.key for policy in _isolating(rules, direction, subject)]
    shown = ", ".join(map(str, isolating[:_POLICIES_SHOWN]))
    more = f" and {len(isolating) - _POLICIES_SHOWN} more" if len(isolating) > _POLICIES_SHOWN else ""
    which = f"NetworkPolicy {shown}{more}" if len(isolating) == 1 else f"NetworkPolicies {shown}{more}"
    isolated = f"{subject} is isolated for {direction.lower()} by {which}"
    return Explanation(False, f"{isolated}, and no rule there admits {peer} on {port}", tuple(isolating))


def _let_through(direction: str, subject: End, peer: End, cause: Cause) -> Explanation:
    if not isinstance(cause, str):
        sentence = f"NetworkPolicy {cause.policy.key} admits it by {cause.rule.field}"
        return Explanation(True, sentence, (cause.policy.key,))
    reasons = {
        HOST: f"{subject} shares its node's network, which no NetworkPolicy isolates",
        OPEN: f"no NetworkPolicy isolates {subject} for {direction.lower()}",
        NODE: f"{peer} is {'on ' if peer.pod else ''}the node of {subject}, whose traffic no NetworkPolicy stops",
    }
    return Explanation(True, reasons.get(cause, ""))


def _isolating(rules: Rulebook, direction: str, subject: End) -> Iterator[NetworkPolicy]:
    return (policy for policy, own in rules.classes.isolating[direction] if own & subject.bit)
