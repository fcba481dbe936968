"""Ways from a pod to cluster-admin: each right that leads on, and that what almost is such a right does not."""

from __future__ import annotations

import random
from typing import Any

import pytest

from dabbawala.policy.takeover import Takeovers, takeover_paths
from tests.policy.world import Object, key, metadata, pod

RBAC = "rbac.authorization.k8s.io"
ADMISSION, CERTIFICATES = "admissionregistration.k8s.io", "certificates.k8s.io"
CLIENT = "kubernetes.io/kube-apiserver-client"
CSR = ("create", "certificatesigningrequests", CERTIFICATES)
APPROVAL = ("update", "certificatesigningrequests/approval", CERTIFICATES)


def rule(verbs: str, resources: str, group: str = "", *names: str) -> Object:
    found: Object = {"verbs": verbs.split(), "resources": resources.split(), "apiGroups": [group]}
    return {**found, "resourceNames": list(names)} if names else found


EVERYTHING = {"verbs": ["*"], "resources": ["*"], "apiGroups": ["*"]}


def role(where: str, *rules: Object) -> Object:
    kind = "Role" if "/" in where else "ClusterRole"
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata(where), "rules": list(rules)}


def binding(where: str, to: str, subject: str, kind: str = "ServiceAccount") -> Object:
    """`where` with a namespace is a RoleBinding; `to` with one a Role."""
    who: Object = {"kind": kind, "name": subject}
    if kind == "ServiceAccount":
        who["namespace"], who["name"] = subject.split("/")
    ref = {"apiGroup": RBAC, "kind": "Role" if "/" in to else "ClusterRole", "name": to.rpartition("/")[2]}
    own = "RoleBinding" if "/" in where else "ClusterRoleBinding"
    return {
        "apiVersion": f"{RBAC}/v1", "kind": own, "metadata": metadata(where), "roleRef": ref, "subjects": [who],
    }  # fmt: skip


def obj(kind: str, where: str, **fields: Any) -> Object:
    labels = fields.pop("labels", {})
    return {"apiVersion": "v1", "kind": kind, "metadata": {**metadata(where), "labels": labels}, **fields}


def running(where: str, account: str, **spec: Any) -> Object:
    found = pod(where)
    found["spec"] |= {"serviceAccountName": account, **spec}
    return found


FENCED = {"pod-security.kubernetes.io/enforce": "baseline"}
WORLD = (
    obj("Namespace", "shop", labels=FENCED), obj("Namespace", "kube-system", labels=FENCED),
    obj("Namespace", "ops", labels=FENCED),
    running("shop/web", "web"), running("kube-system/root", "root", nodeName="n9"), running("ops/quiet", "quiet"),
    role("cluster-admin", EVERYTHING), role("view", rule("get list", "pods")),
    binding("root", "cluster-admin", "kube-system/root"), binding("ann", "cluster-admin", "ann", "User"),
    binding("sres", "cluster-admin", "sres", "Group"),
)  # fmt: skip


def ways(*more: Object) -> dict[str, str]:
    return {str(where): way.sentence for where, way in Takeovers([*WORLD, *more]).workloads().items()}


def given(*rules: Object, namespace: str = "") -> list[Object]:
    """The rules for account shop/web, everywhere or in one namespace."""
    return [role("gift", *rules), binding(f"{namespace}/gift" if namespace else "gift", "gift", "shop/web")]


def test_only_the_pod_whose_account_is_admin_needs_no_way() -> None:
    assert ways() == {"kube-system/root": "pod kube-system/root uses account kube-system/root, which is cluster-admin"}


@pytest.mark.parametrize(
    ("rules", "namespace", "end"),
    [
        ([rule("create", "pods")], "kube-system",
         "which may create pods in namespace kube-system, as account kube-system/root, which is cluster-admin"),
        ([rule("patch", "deployments", "apps")], "kube-system",
         "which may change deployments in namespace kube-system, as account kube-system/root, which is cluster-admin"),
        ([rule("create", "cronjobs", "batch")], "",
         "which may create cronjobs in any namespace, so also in namespace kube-system, as account kube-system/root, "
         "which is cluster-admin"),
        ([rule("bind", "clusterroles", RBAC), rule("create", "clusterrolebindings", RBAC)], "",
         "which may bind any ClusterRole to itself (bind)"),
        ([rule("bind", "clusterroles", RBAC, "cluster-admin"), rule("create", "clusterrolebindings", RBAC)], "",
         "which is cluster-admin"),
        ([rule("bind", "clusterroles", RBAC), rule("create", "rolebindings", RBAC)], "kube-system",
         "which may bind any ClusterRole to itself in namespace kube-system (bind), as account kube-system/root, which "
         "is cluster-admin"),
        ([rule("escalate patch", "clusterroles", RBAC)], "",
         "which may write into its own ClusterRole what it likes (escalate)"),
        ([rule("impersonate", "users groups")], "", "which may impersonate the group system:masters"),
        ([rule("impersonate", "users", "", "ann")], "", "which may impersonate user ann, which is cluster-admin"),
        ([rule("impersonate", "serviceaccounts")], "kube-system",
         "which may impersonate account kube-system/root, which is cluster-admin"),
        ([rule("create", "serviceaccounts/token", "", "root")], "kube-system",
         "which may ask for a token of account kube-system/root, which is cluster-admin"),
        ([rule("create get", "secrets")], "kube-system",
         "which may create and read a token Secret of account kube-system/root, which is cluster-admin"),
        ([rule("create", "pods/exec")], "kube-system",
         "which may run commands in pod kube-system/root, which uses account kube-system/root, which is cluster-admin"),
        ([rule("patch", "pods")], "kube-system",
         "which may change the image of pod kube-system/root, which uses account kube-system/root, which is "
         "cluster-admin"),
        ([rule("patch", "pods/ephemeralcontainers")], "",
         "which may add a container to any pod, kube-system/root among them, which uses account kube-system/root, "
         "which is cluster-admin"),
        ([rule("get", "nodes/proxy")], "",
         "which may ask any node's kubelet to run commands in its pods (nodes/proxy), on node n9, where pod "
         "kube-system/root runs, which uses account kube-system/root, which is cluster-admin"),
        ([rule("create", "mutatingwebhookconfigurations", ADMISSION)], "",
         "which may change what everybody writes, pods of kube-system too (mutatingwebhookconfigurations)"),
        ([rule(*CSR), rule(*APPROVAL), rule("approve", "signers", CERTIFICATES, CLIENT)], "",
         "which may approve its own request for a client certificate, made out to account kube-system/root, which is "
         "cluster-admin"),
        ([rule("create", "pods"), rule("patch", "namespaces")], "ops",
         "which may create pods in namespace ops and lift its Pod Security, and so run pods that are root, on node n9, "
         "where pod kube-system/root runs, which uses account kube-system/root, which is cluster-admin"),
    ],
)  # fmt: skip
def test_a_right_leads_to_cluster_admin(rules: list[Object], namespace: str, end: str) -> None:
    assert ways(*given(*rules, namespace=namespace))["shop/web"] == f"pod shop/web uses account shop/web, {end}"


@pytest.mark.parametrize(
    ("rules", "namespace"),
    [
        ([rule("create", "pods")], "ops"),
        ([rule("create", "pods", "", "root")], "kube-system"),
        ([rule("get list", "pods")], ""),
        ([rule("create update patch", "clusterroles clusterrolebindings", RBAC)], ""),
        ([rule("bind", "clusterroles", RBAC)], ""),
        ([rule("bind", "clusterroles", RBAC, "view"), rule("create", "clusterrolebindings", RBAC)], ""),
        ([rule("escalate", "clusterroles", RBAC)], ""),
        ([rule("escalate patch", "clusterroles", RBAC, "view")], ""),
        ([rule("impersonate", "groups")], ""),
        ([rule("impersonate", "users", "", "bob")], ""),
        ([rule("impersonate", "serviceaccounts")], "ops"),
        ([rule("create", "serviceaccounts/token", "", "other")], "kube-system"),
        ([rule("get", "secrets")], "kube-system"),
        ([rule("create", "secrets")], "kube-system"),
        ([rule("create", "pods/portforward")], "kube-system"),
        ([rule("get", "nodes")], ""),
        ([rule("get", "nodes/proxy", "", "n1")], ""),
        ([rule("create", "validatingwebhookconfigurations", ADMISSION)], ""),
        ([rule(*CSR), rule("approve", "signers", CERTIFICATES, CLIENT)], ""),
        ([rule(*CSR), rule(*APPROVAL), rule("approve", "signers", CERTIFICATES, "example.com/own")], ""),
        ([{"nonResourceURLs": ["*"], "verbs": ["*"]}], ""),
    ],
)
def test_what_almost_leads_there_does_not(rules: list[Object], namespace: str) -> None:
    assert "shop/web" not in ways(*given(*rules, namespace=namespace))


def test_a_way_goes_through_as_many_accounts_as_it_needs() -> None:
    links = [
        role("a", rule("create", "pods/exec")), binding("ops/a", "a", "shop/web"),
        role("b", rule("create", "serviceaccounts/token")), binding("kube-system/b", "b", "ops/quiet"),
    ]  # fmt: skip
    assert ways(*links)["shop/web"] == (
        "pod shop/web uses account shop/web, which may run commands in pod ops/quiet, which uses account ops/quiet, "
        "which may ask for a token of account kube-system/root, which is cluster-admin"
    )


def test_a_secret_with_a_token_is_its_account() -> None:
    secret = obj("Secret", "kube-system/root-token", type="kubernetes.io/service-account-token")
    secret["metadata"]["annotations"] = {"kubernetes.io/service-account.name": "root"}
    reading = given(rule("get", "secrets", "", "root-token"), namespace="kube-system")
    assert (
        "which may read Secret kube-system/root-token, a token of account kube-system/root"
        in ways(*reading, secret)["shop/web"]
    )
    assert "shop/web" not in ways(*given(rule("get", "secrets", "", "else"), namespace="kube-system"), secret)


def test_a_pod_without_a_token_has_no_account() -> None:
    silent = obj("ServiceAccount", "kube-system/root", automountServiceAccountToken=False)
    assert ways(silent) == {}
    again = running("kube-system/again", "root", automountServiceAccountToken=True)
    assert set(ways(silent, again)) == {"kube-system/again"}
    projected = [{"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}]
    assert set(ways(silent, running("kube-system/own", "root", volumes=projected))) == {"kube-system/own"}


@pytest.mark.parametrize(
    ("spec", "holds"),
    [
        ({"containers": [{"name": "c", "securityContext": {"privileged": True}}]}, "is privileged (container c)"),
        ({"containers": [{"name": "c", "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}]},
         "has capability SYS_ADMIN (container c)"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/var/run/docker.sock"}}]},
         "mounts /var/run/docker.sock of its node"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "mounts / of its node"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/data/cache"}}]}, ""),
        ({"containers": [{"name": "c", "securityContext": {"capabilities": {"add": ["SYS_PTRACE"]}}}]}, ""),
    ],
)  # fmt: skip
def test_who_is_root_on_a_node_has_the_accounts_of_its_pods(spec: Object, holds: str) -> None:
    found = ways(running("ops/agent", "none", nodeName="n9", automountServiceAccountToken=False, **spec))
    assert found.get("ops/agent") == (
        f"pod ops/agent {holds} and so is root on node n9, where pod kube-system/root runs, which uses account "
        "kube-system/root, which is cluster-admin"
        if holds
        else None
    )
    assert "ops/agent" not in ways(running("ops/agent", "none", nodeName="n2", **spec))


def test_a_node_of_the_control_plane_holds_the_keys() -> None:
    node = obj("Node", "n2", labels={"node-role.kubernetes.io/control-plane": ""})
    container = {"name": "c", "securityContext": {"privileged": True}}
    assert ways(node, running("ops/agent", "none", nodeName="n2", containers=[container]))["ops/agent"] == (
        "pod ops/agent is privileged (container c) and so is root on node n2, which holds the keys of the cluster"
    )


def test_without_pod_security_who_runs_pods_is_root_on_every_node() -> None:
    opened = obj("Namespace", "ops")
    creating = given(rule("create", "pods"), namespace="ops")
    objects = [found for found in WORLD if found["metadata"]["name"] != "ops"]
    found = {str(k): w.sentence for k, w in Takeovers([*objects, opened, *creating]).workloads().items()}
    assert found["shop/web"] == (
        "pod shop/web uses account shop/web, which may create pods in namespace ops, where no Pod Security keeps a pod "
        "from being root, on node n9, where pod kube-system/root runs, which uses account kube-system/root, which is "
        "cluster-admin"
    )


def test_people_and_groups_have_their_ways_too() -> None:
    world = Takeovers([*WORLD, role("t", rule("create", "serviceaccounts/token")), binding("t", "t", "devs", "Group")])
    way = world.of_group("devs")
    assert way is not None
    assert way.sentence == (
        "group devs may ask for a token of any account, kube-system/root among them, which is cluster-admin"
    )
    assert way.steps[0].by == 'RBAC: allowed by ClusterRoleBinding "t" of ClusterRole "t" to Group "devs"'
    admin = world.of_user("ann")
    assert admin is not None
    assert admin.sentence == "user ann is cluster-admin"
    assert world.of_user("bob") is None
    assert world.of_account(key("ops/quiet")) is None


def test_what_everybody_may_every_pod_may() -> None:
    everybody = [role("e", rule("create", "pods/exec")), binding("e", "e", "system:serviceaccounts", "Group")]
    assert set(ways(*everybody)) == {"shop/web", "ops/quiet", "kube-system/root"}


def test_the_order_of_objects_does_not_matter() -> None:
    objects = [*WORLD, *given(rule("create", "pods pods/exec"), rule("get", "nodes/proxy"))]
    expected = [way.sentence for way in takeover_paths(objects)]
    for seed in range(5):
        random.Random(seed).shuffle(objects)
        assert [way.sentence for way in takeover_paths(objects)] == expected


def test_more_rights_never_close_a_way() -> None:
    draw = random.Random(7)
    rules = [
        rule("create", "pods"), rule("get create", "secrets"), rule("bind", "clusterroles", RBAC, "cluster-admin"),
        rule("create", "clusterrolebindings rolebindings", RBAC), rule("escalate", "clusterroles roles", RBAC),
        rule("update", "clusterroles roles", RBAC), rule("impersonate", "users"), rule("impersonate", "groups"),
        rule("create", "pods/exec"), rule("patch", "namespaces"), rule("create", "serviceaccounts/token"),
    ]  # fmt: skip
    for _ in range(60):
        few = draw.sample(rules, 3)
        where = draw.choice(["", "ops", "kube-system"])
        before, after = ways(*given(*few, namespace=where)), ways(*given(*few, *draw.sample(rules, 3), namespace=where))
        assert before.keys() <= after.keys()
