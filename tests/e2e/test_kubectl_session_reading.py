"""The real kubectl reads: get in every form, describe, explain, discovery, events, identity, configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
import yaml

from tests.e2e.session import WEB, Session, config_map, deployment, eventually
from tests.kubectl import Kubectl


@pytest.fixture(scope="module")
def shop(
    kubectl: Kubectl, images: None, namespaces: Iterator[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Session]:
    """A namespace that these tests only read: a Deployment of two pods behind a Service."""
    made = Session(kubectl, next(namespaces), tmp_path_factory.mktemp("shop"))
    kubectl("create", "namespace", made.namespace)
    made("wait", "--for=create", "serviceaccount/default", "--timeout=10s")
    made("apply", "-f", made.file("web.json", deployment("web", replicas=2), config_map("settings", colour="blue")))
    made("expose", "deployment", "web", "--port=80", "--target-port=8080")
    made("rollout", "status", "deployment/web", "--timeout=30s")
    yield made
    kubectl("delete", "namespace", made.namespace, "--wait=false")


# --- get -------------------------------------------------------------------------------------------------------


def test_get_shows_tables_with_the_columns_people_know(shop: Session) -> None:
    pods = shop("get", "pods").splitlines()
    assert pods[0].split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert [line.split()[1:4] for line in pods[1:]] == [["1/1", "Running", "0"]] * 2
    wide = shop("get", "pods", "-o", "wide").splitlines()
    assert wide[0].split()[5:9] == ["IP", "NODE", "NOMINATED", "NODE"]
    assert re.search(r"10\.42\.\d+\.\d+\s+node-[12]", wide[1])
    deployments = shop("get", "deploy", "-o", "wide", "--no-headers").split()
    assert deployments[:4] == ["web", "2/2", "2", "2"]
    assert deployments[-3:] == ["web", WEB, "app=web"]
    assert "web" in shop("get", "all")
    services = shop("get", "svc", "web").splitlines()
    assert services[0].split() == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]
    assert services[1].split()[4] == "80/TCP"


def test_get_speaks_yaml_json_names_and_templates(shop: Session) -> None:
    as_yaml = yaml.safe_load(shop("get", "deployment", "web", "-o", "yaml"))
    as_json = json.loads(shop("get", "deployment", "web", "-o", "json"))
    assert as_yaml == as_json
    assert (as_json["kind"], as_json["spec"]["replicas"]) == ("Deployment", 2)
    assert "managedFields" not in as_json["metadata"]
    assert shop("get", "deployment/web", "service/web", "-o", "name") == "deployment.apps/web\nservice/web\n"
    path = "jsonpath={.spec.template.spec.containers[?(@.name=='web')].image}"
    assert shop("get", "deployment", "web", "-o", path) == WEB
    pairs = "jsonpath={range .items[*]}{.metadata.labels.app}={.status.phase};{end}"
    assert shop("get", "pods", "-o", pairs) == "web=Running;" * 2
    template = "{{range .items}}{{.metadata.name}} {{end}}"
    assert set(shop("get", "pods", "-o", f"go-template={template}").split()) == {
        name.removeprefix("pod/") for name in shop.names("pods")
    }
    columns = "custom-columns=NAME:.metadata.name,IMAGE:.spec.template.spec.containers[0].image"
    assert shop("get", "deployments", "-o", columns).split() == ["NAME", "IMAGE", "web", WEB]
    kyaml = shop("get", "configmap", "settings", "-o", "kyaml")
    assert yaml.safe_load(kyaml)["data"] == {"colour": "blue"}


def test_get_selects_sorts_and_pages(shop: Session, kubectl: Kubectl) -> None:
    assert len(shop.names("pods", "-l", "app in (web,other),pod-template-hash")) == 2
    assert shop.names("pods", "-l", "app!=web") == set()
    assert len(shop.names("pods", "--field-selector=status.phase=Running")) == 2
    assert shop.names("configmaps", "--field-selector=metadata.name=settings") == {"configmap/settings"}
    node = shop("get", "pods", "-o", "jsonpath={.items[0].spec.nodeName}")
    assert len(
        json.loads(kubectl("get", "pods", "-A", f"--field-selector=spec.nodeName={node}", "-o", "json"))["items"]
    )
    assert '"spec.nope" is not a known field selector' in shop.refused("get", "pods", "--field-selector=spec.nope=1")
    ordered = shop("get", "pods", "--sort-by=.metadata.name", "-o", "name").split()
    assert ordered == sorted(ordered)
    assert set(shop("get", "pods", "--chunk-size=1", "-o", "name").split()) == set(ordered)
    labelled = shop("get", "pods", "-L", "app", "--show-labels").splitlines()
    assert labelled[0].split()[-2:] == ["APP", "LABELS"]
    assert "app=web,pod-template-hash=" in labelled[1]
    everywhere = kubectl("get", "deployments", "--all-namespaces").splitlines()
    assert everywhere[0].split()[0] == "NAMESPACE"
    assert any(line.split()[:2] == [shop.namespace, "web"] for line in everywhere)


def test_get_says_what_is_not_there(shop: Session) -> None:
    assert shop.refused("get", "deploy", "no") == 'Error from server (NotFound): deployments.apps "no" not found\n'
    assert "the server doesn't have a resource type" in shop.refused("get", "spaceships")
    assert shop("get", "pod", "no", "--ignore-not-found") == ""
    assert "No resources found" in shop.run("get", "jobs").err


def test_get_raw_reaches_every_path(kubectl: Kubectl) -> None:
    assert kubectl("get", "--raw", "/readyz") == "ok"
    assert kubectl("get", "--raw", "/livez") == "ok"
    assert "ping ok" in kubectl("get", "--raw", "/readyz?verbose")
    assert json.loads(kubectl("get", "--raw", "/version"))["major"] == "1"
    assert "items" in json.loads(kubectl("get", "--raw", "/apis/apps/v1/deployments?limit=1"))


# --- describe, events, explain ---------------------------------------------------------------------------------


def test_describe_tells_the_story_of_each_kind(shop: Session) -> None:
    text = shop("describe", "deployment", "web")
    assert re.search(r"Replicas:\s+2 desired \| 2 updated \| 2 total \| 2 available \| 0 unavailable", text)
    assert re.search(r"NewReplicaSet:\s+web-\w+ \(2/2 replicas created\)", text)
    assert "ScalingReplicaSet" in text
    pods = shop("describe", "pods", "-l", "app=web")
    for expected in (
        r"Controlled By:\s+ReplicaSet/web-",
        r"Image:\s+session/web:v1",
        r"Ready:\s+True",
        r"Readiness:\s+http-get http://:8080/",
        r"QoS Class:\s+BestEffort",
    ):
        assert re.search(expected, pods), expected
    name = shop("get", "pods", "-o", "jsonpath={.items[0].metadata.name}")
    assert f"Successfully assigned {shop.namespace}/{name} to node-" in shop("describe", "pod", name)
    eventually(lambda: len(re.findall(r"10\.42\.\d+\.\d+:8080", shop("describe", "service", "web"))) == 2)
    assert re.search(r"colour:\n----\nblue", shop("describe", "configmap", "settings"))
    assert re.search(r"Status:\s+Active", shop("describe", "namespace", shop.namespace))
    node = shop("describe", "node", "node-1")
    assert re.search(r"Ready\s+True", node)
    assert "Allocated resources" in node
    assert re.search(r"Pod Template|Replicas:\s+2 current / 2 desired", shop("describe", "replicaset", "-l", "app=web"))


def test_events_are_told_in_order_and_for_one_object(shop: Session) -> None:
    name = shop("get", "pods", "-o", "jsonpath={.items[0].metadata.name}")
    told = shop("events", "--for", f"pod/{name}")
    reasons = [line.split()[2] for line in told.splitlines()[1:]]
    assert set(reasons) >= {"Scheduled", "Pulled", "Created", "Started"}
    only = shop("get", "events", "--field-selector=reason=ScalingReplicaSet,involvedObject.name=web", "--no-headers")
    assert all("deployment/web" in line for line in only.splitlines())
    assert "Normal" in shop("events", "--types=Normal")


def test_explain_knows_fields_of_builtin_and_custom_kinds(kubectl: Kubectl) -> None:
    text = kubectl("explain", "deployment.spec.strategy.rollingUpdate.maxSurge")
    assert re.search(r"GROUP:\s+apps\nKIND:\s+Deployment\nVERSION:\s+v1", text)
    assert "FIELD: maxSurge <IntOrString>" in text
    assert "maximum number of pods that can be scheduled above the desired number" in re.sub(r"\s+", " ", text)
    assert re.search(r"containers\s+<\[\]Container> -required-", kubectl("explain", "pod.spec"))
    assert "initialDelaySeconds" in kubectl("explain", "pod.spec.containers.livenessProbe", "--recursive")
    assert "setWeight" in kubectl("explain", "rollout.spec.strategy.canary.steps")
    assert "does not exist" in kubectl.run("explain", "pod.spec.nope").err


# --- what there is, who I am -----------------------------------------------------------------------------------


def test_api_resources_and_versions_list_what_the_cluster_serves(kubectl: Kubectl) -> None:
    versions = set(kubectl("api-versions").split())
    assert versions >= {"v1", "apps/v1", "batch/v1", "argoproj.io/v1alpha1", "networking.istio.io/v1", "policy/v1"}
    table = kubectl("api-resources").splitlines()
    assert table[0].split() == ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]
    assert ["deployments", "deploy", "apps/v1", "true", "Deployment"] in [line.split() for line in table]
    assert "nodes" in kubectl("api-resources", "--namespaced=false", "-o", "name").split()
    assert "deployments.apps" in kubectl("api-resources", "--api-group=apps", "-o", "name").split()
    assert "get,list,patch,update,watch" in kubectl("api-resources", "-o", "wide", "--api-group=apps")


def test_the_cluster_names_itself_and_its_version(kubectl: Kubectl) -> None:
    info = kubectl("cluster-info")
    server = kubectl("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")
    assert server in info
    assert "kube-dns" in info
    versions = json.loads(kubectl("version", "-o", "json"))
    assert versions["clientVersion"]["gitVersion"].startswith("v1.37.")
    assert versions["serverVersion"]["gitVersion"].startswith("v1.37.")
    nodes = kubectl("get", "nodes", "--no-headers").splitlines()
    assert [line.split()[:2] for line in nodes] == [["node-1", "Ready"], ["node-2", "Ready"]]


def test_auth_tells_who_i_am_and_what_i_may(shop: Session) -> None:
    me = json.loads(shop("auth", "whoami", "-o", "json"))["status"]["userInfo"]
    assert (me["username"], "system:masters" in me["groups"]) == ("kubernetes-admin", True)
    assert "asha" in shop("auth", "whoami", "--as=asha", "--as-group=people")
    assert shop("auth", "can-i", "delete", "nodes") == "yes\n"
    assert shop.run("auth", "can-i", "delete", "nodes", "--as=asha").out == "no\n"
    assert "selfsubjectreviews.authentication.k8s.io" in shop("auth", "can-i", "--list", "--as=asha")
    denied = shop.refused("get", "secrets", "--as=asha")
    assert f'User "asha" cannot list resource "secrets" in API group "" in the namespace "{shop.namespace}"' in denied


def test_auth_reconcile_brings_roles_into_being(k: Session) -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "looks", "namespace": k.namespace},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    }
    k("auth", "reconcile", "-f", k.file("role.json", role))
    assert k.read("role", "looks")["rules"] == role["rules"]


def test_config_shows_and_changes_how_the_cluster_is_reached(k: Session) -> None:
    own = k.folder / "kubeconfig"
    own.write_text(k("config", "view", "--raw", "--flatten"))
    mine = {"KUBECONFIG": str(own)}
    assert "DATA+OMITTED" in k.kubectl("config", "view", env=mine)
    assert k.kubectl("config", "current-context", env=mine) == "dabba-default\n"
    k.kubectl("config", "set-context", "--current", f"--namespace={k.namespace}", env=mine)
    k.kubectl("create", "configmap", "here", env=mine)
    assert k.read("configmap", "here")["metadata"]["namespace"] == k.namespace
    assert "dabba-default" in k.kubectl("config", "get-contexts", env=mine)
    assert k.kubectl("config", "get-clusters", env=mine).split() == ["NAME", "dabba-default"]


def test_the_shell_can_complete_names_of_objects(shop: Session, kubectl: Kubectl) -> None:
    completed = kubectl("__complete", f"--namespace={shop.namespace}", "get", "deployments", "w")
    assert completed.splitlines()[0] == "web"
