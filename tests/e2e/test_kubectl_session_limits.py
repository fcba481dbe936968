"""The real kubectl on what a namespace may have and how it is reached and scaled: quotas, limits, policies, ingresses,
cron jobs, autoscalers, stateful sets."""

from __future__ import annotations

from typing import Any

from tests.e2e.session import SHELL, WEB, Session, deployment, eventually, pod

LIMITS = {
    "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "usual"},
    "spec": {"limits": [
        {"type": "Container", "default": {"cpu": "200m", "memory": "64Mi"}, "max": {"cpu": "1"}},
        {"type": "Pod", "max": {"memory": "512Mi"}},
    ]},
}  # fmt: skip
POLICY = {
    "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "web"},
    "spec": {
        "podSelector": {"matchLabels": {"app": "web"}},
        "ingress": [{
            "from": [{"podSelector": {"matchLabels": {"app": "gate"}}},
                     {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
            "ports": [{"port": 8080}],
        }],
        "egress": [{"to": [{"namespaceSelector": {}}]}],
    },
}  # fmt: skip


def squeezed(text: str) -> list[str]:
    """The lines, with one space where there were many."""
    return [" ".join(line.split()) for line in text.splitlines()]


def stateful_set(name: str) -> dict[str, Any]:
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    container = {"name": "db", "image": WEB, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    spec = {
        "serviceName": name, "replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": template,
        "volumeClaimTemplates": [claim],
    }  # fmt: skip
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name}, "spec": spec}


def test_a_namespace_stays_within_its_quota_and_says_how_much_is_left(k: Session) -> None:
    k("create", "quota", "small", "--hard=pods=2,requests.cpu=1,limits.memory=1Gi,count/deployments.apps=1")
    k("apply", "-f", k.file("limits.json", LIMITS))
    k("apply", "-f", k.file("web.json", deployment("web")))
    k("rollout", "status", "deployment/web", "--timeout=20s")
    assert k.read("pods")["items"][0]["spec"]["containers"][0]["resources"] == {
        "limits": {"cpu": "200m", "memory": "64Mi"}, "requests": {"cpu": "200m", "memory": "64Mi"},
    }  # fmt: skip
    rows = ["count/deployments.apps 1 1", "limits.memory 64Mi 1Gi", "pods 1 2", "requests.cpu 200m 1"]
    eventually(lambda: squeezed(k("describe", "quota", "small"))[-4:] == rows)
    [_, shown] = squeezed(k("get", "quota"))
    assert shown.startswith(
        "small count/deployments.apps: 1/1, pods: 1/2, requests.cpu: 200m/1 limits.memory: 64Mi/1Gi"
    )
    again = k.refused("create", "deployment", "again", f"--image={WEB}")
    assert 'deployments.apps "again" is forbidden: exceeded quota: small, requested: count/deployments.apps=1' in again
    k("delete", "deployment", "web")
    eventually(lambda: "pods 0 2" in squeezed(k("describe", "quota", "small")))


def test_a_workload_that_may_have_no_more_pods_says_so(k: Session) -> None:
    k("create", "quota", "one", "--hard=pods=1")
    k("apply", "-f", k.file("web.json", deployment("web", replicas=2)))
    failed = "is forbidden: exceeded quota: one, requested: pods=1, used: pods=1, limited: pods=1"
    eventually(lambda: failed in k("get", "events", "--field-selector=reason=FailedCreate"))
    assert len(k.names("pods")) == 1


def test_what_is_beyond_the_limits_of_the_namespace_is_refused(k: Session) -> None:
    k("apply", "-f", k.file("limits.json", LIMITS))
    lines = squeezed(k("describe", "limits", "usual"))
    assert {"Container cpu - 1 200m 200m -", "Container memory - - 64Mi 64Mi -", "Pod memory - 512Mi - - -"} < {*lines}
    large = pod("large", "true")
    large["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "2", "memory": "1Gi"}}
    refused = k.refused("create", "-f", k.file("large.json", large))
    assert "maximum cpu usage per Container is 1, but limit is 2" in refused
    assert "maximum memory usage per Pod is 512Mi, but limit is 1Gi" in refused
    assert "defaultRequest" in k("explain", "limitrange.spec.limits")


def test_policies_and_ingresses_are_described(k: Session) -> None:
    k("apply", "-f", k.file("policy.json", POLICY))
    described = squeezed(k("describe", "networkpolicy", "web"))
    assert {
        "PodSelector: app=web", "To Port: 8080/TCP", "PodSelector: app=gate", "CIDR: 10.0.0.0/8", "Except: 10.1.0.0/16",
        "NamespaceSelector: <none>", "Policy Types: Ingress, Egress",
    } < {*described}  # fmt: skip
    assert squeezed(k("get", "netpol"))[1].startswith("web app=web ")
    rules = ("--rule=a.example.com/api*=web:80,tls=cert", "--rule=b.example.com/=web:http")
    k("create", "ingress", "web", "--class=envoy", *rules)
    assert squeezed(k("get", "ing"))[1].startswith("web envoy a.example.com,b.example.com 80, 443 ")
    described = squeezed(k("describe", "ingress", "web"))
    assert "cert terminates a.example.com" in described
    assert any(line.startswith("/api web:80") for line in described)
    assert "pathType must be specified" in k.refused(
        "patch",
        "ingress",
        "web",
        "--type=json",
        "--patch",
        '[{"op":"remove","path":"/spec/rules/0/http/paths/0/pathType"}]',
    )


def test_a_cron_job_is_made_listed_and_run_by_hand(k: Session) -> None:
    assert "expected exactly 5 fields" in k.refused(
        "create", "cronjob", "bad", f"--image={SHELL}", "--schedule=0 2 * *"
    )
    k("create", "cronjob", "nightly", f"--image={SHELL}", "--schedule=0 2 * * *", "--", "echo", "namaste")
    shown = squeezed(k("get", "cronjob", "--output=wide"))[1]
    assert shown.startswith("nightly 0 2 * * * <none> False 0 <none> ")
    assert shown.endswith(f"nightly {SHELL} <none>")
    k("patch", "cronjob", "nightly", "--patch", '{"spec":{"suspend":true,"timeZone":"Asia/Kolkata"}}')
    described = squeezed(k("describe", "cronjob", "nightly"))
    for line in (
        "Suspend: True",
        "Time Zone: Asia/Kolkata",
        "Concurrency Policy: Allow",
        "Last Schedule Time: <unset>",
    ):
        assert line in described
    k("create", "job", "now", "--from=cronjob/nightly")
    k("wait", "--for=condition=complete", "job/now", "--timeout=20s")
    assert k("logs", "job/now") == "namaste\n"


def test_an_autoscaler_is_one_object_in_two_versions(k: Session) -> None:
    k("apply", "-f", k.file("web.json", deployment("web")))
    k("autoscale", "deployment", "web", "--min=2", "--max=5", "--cpu=50%")
    assert squeezed(k("get", "hpa"))[1].startswith("web Deployment/web cpu: <unknown>/50% 2 5 0 ")
    assert "resource cpu on pods (as a percentage of request): <unknown> / 50%" in squeezed(k("describe", "hpa", "web"))
    old = k.read("horizontalpodautoscalers.v1.autoscaling", "web")
    assert (old["apiVersion"], old["spec"]["targetCPUUtilizationPercentage"]) == ("autoscaling/v1", 50)
    k("patch", "horizontalpodautoscalers.v1.autoscaling", "web", "--patch", '{"spec":{"maxReplicas":9}}')
    new = k.read("hpa", "web")
    assert (new["apiVersion"], new["spec"]["maxReplicas"]) == ("autoscaling/v2", 9)
    refused = k.refused("patch", "hpa", "web", "--patch", '{"spec":{"maxReplicas":1}}')
    assert "must be greater than or equal to `minReplicas`" in refused
    assert "scaleDown" in k("explain", "hpa.spec.behavior")


def test_stateful_sets_and_replication_controllers_are_kept_and_scaled(k: Session) -> None:
    path = k.file("db.json", stateful_set("db"))
    k("apply", "-f", path)
    before = k.read("sts", "db")
    k("apply", "-f", path)  # kubectl sends the claims again, as they have got defaults; nothing changes by it
    assert k.read("sts", "db") == before
    k("scale", "statefulset/db", "--replicas=3")
    assert k.read("sts", "db")["spec"]["replicas"] == 3
    k("scale", "statefulset/db", "--replicas=0")
    described = squeezed(k("describe", "sts", "db"))
    assert {"Service Name: db", "Pod Management Policy: OrderedReady", "Capacity: 1Gi"} < {*described}
    assert "/data from data (rw)" in described
    refused = k.refused("patch", "sts", "db", "--patch", '{"spec":{"serviceName":"other"}}')
    assert "updates to statefulset spec for fields other than 'replicas'" in refused
    template = {"metadata": {"labels": {"app": "old"}}, "spec": {"containers": [{"name": "x", "image": WEB}]}}
    old = {"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "old"},
           "spec": {"replicas": 0, "template": template}}  # fmt: skip
    k("create", "-f", k.file("old.json", old))
    assert squeezed(k("get", "rc", "--output=wide"))[1].endswith(f" x {WEB} app=old")
    assert {"statefulset.apps/db", "replicationcontroller/old"} <= k.names("all")
    dumped = k("cluster-info", "dump", f"--namespaces={k.namespace}")
    assert '"kind": "ReplicationControllerList"' in dumped
