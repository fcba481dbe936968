"""What lies between the policies that we ship and those that a cluster enforces.

Looked at check by check: is its policy there, does it still say what we installed, is it of this release, and does a
binding of ours still do what its stage says. What somebody else has installed beside ours is not our business. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.guard import checks
from dabbawala.guard.checks import Check
from dabbawala.guard.enforcement import bundle, stages
from dabbawala.guard.enforcement.bundle import BINDING, POLICY
from dabbawala.guard.enforcement.plan import Installed
from dabbawala.guard.enforcement.stages import Stage
from dabbawala.guard.findings import Finding, Place, Status, Subject

ID = "DRIFT"


@lru_cache(maxsize=1)
def check() -> Check:
    """What findings about drift are findings of."""
    told = {
        "id": ID,
        "title": "Installed policy is not the shipped one",
        "severity": "high",
        "rationale": "What the scan says and what admission does are the same only while both ask the same policies.",
        "remedy": "Run `dabba guard enforce`, which installs what is missing and puts right what has changed.",
    }
    annotations = {checks.PREFIX + name: value for name, value in told.items()}
    document = {"kind": checks.OWN_KIND, "metadata": {"name": "drift", "annotations": annotations}, "spec": {}}
    return checks.of(document, area="governance", where="drift")


def findings(asked: Iterable[Check], installed: Installed) -> list[Finding]:
    """One for everything that is not as shipped. Where nothing of ours is installed, one for all."""
    native = [item for item in asked if item.native]
    if not any(True for _ in installed.ours()):
        message = f"none of the {len(native)} policies is installed: admission refuses nothing that the scan finds"
        return [_finding(POLICY.kind, "", message)] if native else []
    return [finding for item in native for finding in _of(item, installed)]


def _of(item: Check, installed: Installed) -> Iterator[Finding]:
    policy = installed.objects.get((POLICY.kind, item.name))
    if policy is None:
        yield _finding(POLICY.kind, item.name, f"{item.id} {item.title}: its policy is not installed")
        return
    for message in _policy(item, policy):
        yield _finding(POLICY.kind, item.name, f"{item.id} {item.title}: {message}")
    for message in _binding(installed.objects.get((BINDING.kind, item.name))):
        yield _finding(BINDING.kind, item.name, f"{item.id} {item.title}: {message}")


def _policy(item: Check, policy: Object) -> Iterator[str]:
    if not bundle.is_ours(policy):
        yield "a policy of this name is there that we have not installed"
    elif bundle.fingerprint(POLICY, policy) != meta.labels(policy)[bundle.HASH]:
        yield "somebody has changed its policy since it was installed"
    elif meta.annotations(policy).get(bundle.SOURCE) != bundle.source(item):
        yield "its policy is that of another release"


def _binding(binding: Object | None) -> Iterator[str]:
    if binding is None:
        yield "nothing binds its policy, which does nothing without a binding"
        return
    if not bundle.is_ours(binding):
        yield "the binding of this name is not ours"
        return
    meant = meta.annotations(binding).get(bundle.STAGE)
    does = stages.of_actions(binding["spec"].get("validationActions") or ())
    if meant in tuple(Stage) and (does is None or does < str(meant)):
        yield f"its binding is weaker than it was installed: {does or 'nothing'} instead of {meant}"
    elif bundle.fingerprint(BINDING, binding) != meta.labels(binding)[bundle.HASH]:
        yield "somebody has changed its binding since it was installed"


def _finding(kind: str, name: str, message: str) -> Finding:
    subject = Subject(POLICY.api_version, kind, "", name)
    return Finding(check(), Status.FAIL, subject, message, Place())
