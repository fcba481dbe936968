"""Admission policies as somebody at a terminal meets them: refused, warned, told why; and writing one that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.e2e.session import SHELL, Session, config_map, deployment, eventually, pod

GROUP = "admissionregistration.k8s.io/v1"


def documents(k: Session, rule: dict[str, Any], *actions: str, **validation: Any) -> list[dict[str, Any]]:
    """A policy for the session's namespace alone, and its binding."""
    name = f"{k.namespace}.example.com"
    mine = {"matchLabels": {"kubernetes.io/metadata.name": k.namespace}}
    usual = {"operations": ["CREATE", "UPDATE"], "apiGroups": ["apps"], "apiVersions": ["v1"]}
    policy = {"matchConstraints": {"resourceRules": [{**usual, **rule}]}, "validations": [validation]}
    binding = {"policyName": name, "validationActions": list(actions), "matchResources": {"namespaceSelector": mine}}
    return [
        {"apiVersion": GROUP, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": policy},
        {"apiVersion": GROUP, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": binding},
    ]


@contextmanager
def enforced(k: Session, rule: dict[str, Any], *actions: str, **validation: Any) -> Iterator[str]:
    """The policy, by its name, for as long as the block lasts."""
    path = k.file("policy.json", *documents(k, rule, *actions, **validation))
    k("apply", "-f", path)
    try:
        yield f"{k.namespace}.example.com"
    finally:
        k("delete", "-f", path)


def test_a_policy_refuses_and_kubectl_says_which_and_why(k: Session) -> None:
    path = k.file("web.json", deployment("web", replicas=9))
    said = {
        "expression": "object.spec.replicas <= 3",
        "messageExpression": "'at most 3, not ' + string(object.spec.replicas)",
    }
    with enforced(k, {"resources": ["deployments"]}, "Deny", **said) as name:
        refusal = f"ValidatingAdmissionPolicy '{name}' with binding '{name}' denied request: at most 3, not 9"
        assert k.refused("apply", "-f", path) == f'The deployments "web" is invalid: : {refusal}\n'
        assert k.gone("deployment", "web")
        k("create", "deployment", "web", f"--image={SHELL}", "--replicas=3")
        assert "at most 3, not 4" in k.refused("patch", "deployment", "web", "-p", '{"spec":{"replicas":4}}')
        assert "at most 3, not 4" in k.refused("apply", "--server-side", "--force-conflicts", "-f", k.file(
            "four.json", deployment("web", replicas=4)))  # fmt: skip
        assert "denied request" in k.refused("create", "--dry-run=server", "-f", k.file(
            "other.json", deployment("other", replicas=5)))  # fmt: skip
    k("apply", "-f", path)
    assert k.read("deployment", "web")["spec"]["replicas"] == 9


def test_a_policy_warns_and_the_object_is_made(k: Session) -> None:
    rule = {"resources": ["configmaps"], "apiGroups": [""]}
    with enforced(k, rule, "Warn", "Audit", expression="has(object.metadata.labels)", message="label it") as name:
        made = k.run("create", "-f", k.file("plain.json", config_map("plain", a="1")))
        warning = f"Warning: Validation failed for ValidatingAdmissionPolicy '{name}' with binding '{name}': label it\n"
        assert (made.out, made.err, made.status) == ("configmap/plain created\n", warning, 0)
        labelled = {**config_map("labelled"), "metadata": {"name": "labelled", "labels": {"a": "b"}}}
        assert k.run("create", "-f", k.file("labelled.json", labelled)).err == ""


def test_a_policy_forbids_a_shell_and_allows_a_command(k: Session) -> None:
    k("apply", "-f", k.file("pod.json", pod("tool", "sleep", "300")))
    k("wait", "--for=condition=Ready", "pod/tool", "--timeout=20s")
    rule = {"operations": ["CONNECT"], "apiGroups": [""], "resources": ["pods/exec"]}
    said = {"expression": "!('sh' in object.command)", "message": "no shells", "reason": "Forbidden"}
    with enforced(k, rule, "Deny", **said) as name:
        assert k("exec", "tool", "--", "echo", "hello") == "hello\n"
        refusal = f"ValidatingAdmissionPolicy '{name}' with binding '{name}' denied request: no shells"
        told = k.refused("exec", "tool", "--", "sh", "-c", "echo hello")
        assert told.endswith(f'pods "tool" is forbidden: {refusal}\n')


def test_a_policy_protects_from_deletion(k: Session) -> None:
    k("create", "configmap", "precious")
    k("label", "configmap", "precious", "keep=yes")
    rule = {"operations": ["DELETE"], "apiGroups": [""], "resources": ["configmaps"]}
    said = {"expression": "oldObject.metadata.?labels.?keep.orValue('') != 'yes'", "message": "it is to be kept"}
    with enforced(k, rule, "Deny", **said):
        assert "denied request: it is to be kept" in k.refused("delete", "configmap", "precious")
        k("label", "configmap", "precious", "keep-")
        k("delete", "configmap", "precious")


def test_a_policy_that_does_not_compile_is_refused_and_a_doubtful_one_says_so_in_its_status(k: Session) -> None:
    broken = documents(k, {"resources": ["deployments"]}, "Deny", expression="object.spec.replicas <")[0]
    told = k.refused("apply", "-f", k.file("broken.json", broken))
    assert 'spec.validations[0].expression: Invalid value: "object.spec.replicas <": compilation failed' in told
    with enforced(k, {"resources": ["deployments"]}, "Audit", expression="object.spec.replica <= 3") as name:
        seen = "jsonpath={.status.typeChecking.expressionWarnings[0].warning}"
        what = ("validatingadmissionpolicy", name)
        eventually(lambda: "undefined field 'replica'" in k("get", *what, f"--output={seen}"))
        rows = k("get", *what, "--no-headers").split()
        assert rows[:3] == [name, "1", "<unset>"]
        assert "undefined field 'replica'" in k("describe", *what)
