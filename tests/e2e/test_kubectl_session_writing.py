"""The real kubectl writes: create, apply, diff, edit, label, annotate, patch, replace, set, dry runs, refusals."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.e2e.session import SHELL, WEB, WEB_V2, Session, config_map, deployment, eventually, pod
from tests.kubectl import Kubectl

FOREIGN = "other-tool"


def data_of(k: Session, name: str) -> Any:
    return k.read("configmap", name).get("data")


def replicas_of(k: Session, name: str) -> Any:
    return k.read("deployment", name)["spec"]["replicas"]


# --- create ----------------------------------------------------------------------------------------------------


def test_create_makes_configuration_from_literals_and_files(k: Session) -> None:
    (k.folder / "motd").write_text("welcome\n")
    k("create", "configmap", "settings", "--from-literal=colour=blue", f"--from-file={k.folder / 'motd'}")
    assert data_of(k, "settings") == {"colour": "blue", "motd": "welcome\n"}
    k("create", "secret", "generic", "login", "--from-literal=user=asha")
    secret = k.read("secret", "login")
    assert (secret["type"], base64.b64decode(secret["data"]["user"])) == ("Opaque", b"asha")
    k("create", "secret", "docker-registry", "pull", "--docker-username=u", "--docker-password=p")
    assert k.read("secret", "pull")["type"] == "kubernetes.io/dockerconfigjson"
    assert 'configmaps "settings" already exists' in k.refused("create", "configmap", "settings")


def test_create_makes_workloads_and_services(k: Session) -> None:
    k("create", "deployment", "web", f"--image={WEB}", "--replicas=2", "--port=8080")
    k("rollout", "status", "deployment/web", "--timeout=20s")
    assert k.read("deployment", "web")["status"]["availableReplicas"] == 2
    k("create", "service", "clusterip", "web", "--tcp=80:8080")
    assert k.read("service", "web")["spec"]["clusterIP"].startswith("10.96.")
    k("create", "poddisruptionbudget", "web", "--selector=app=web", "--min-available=1")
    eventually(lambda: k.read("pdb", "web").get("status", {}).get("disruptionsAllowed") == 1)
    k("create", "job", "greet", f"--image={SHELL}", "--", "echo", "namaste")
    k("wait", "--for=condition=complete", "job/greet", "--timeout=20s")
    assert k("logs", "job/greet") == "namaste\n"


def test_create_gives_a_service_account_a_role_and_a_token_that_works(k: Session, kubectl: Kubectl) -> None:
    k("create", "serviceaccount", "reader")
    k("create", "role", "reads", "--verb=get,list", "--resource=configmaps")
    k("create", "rolebinding", "reader-reads", "--role=reads", f"--serviceaccount={k.namespace}:reader")
    user = f"system:serviceaccount:{k.namespace}:reader"
    assert k("auth", "can-i", "list", "configmaps", f"--as={user}") == "yes\n"
    refused = k.run("auth", "can-i", "create", "configmaps", f"--as={user}")
    assert (refused.out, refused.status) == ("no\n", 1)
    token = k("create", "token", "reader", "--duration=10m").strip()
    server = kubectl("config", "view", "--output=jsonpath={.clusters[0].cluster.server}")
    bare = k.folder / "bare-kubeconfig"
    bare.write_text("{}")
    alone = (f"--kubeconfig={bare}", f"--server={server}", "--insecure-skip-tls-verify", f"--token={token}")
    assert "configmap/kube-root-ca.crt" in k("get", "configmaps", "--output=name", *alone)
    assert user in k("auth", "whoami", *alone)
    assert "is forbidden" in k.refused("get", "secrets", *alone)


def test_create_from_a_file_can_ask_for_a_generated_name(k: Session) -> None:
    made = {**config_map("x", a="1"), "metadata": {"generateName": "run-"}}
    path = k.file("generated.json", made)
    first, second = k("create", "-f", path, "-o", "name"), k("create", "-f", path, "-o", "name")
    assert first != second
    assert k.names("configmaps") >= {first.strip(), second.strip()}


# --- apply and diff --------------------------------------------------------------------------------------------


def test_apply_creates_then_changes_only_what_differs_and_diff_tells_before(k: Session) -> None:
    path = k.file("app.json", deployment("app"), config_map("app", colour="blue"))
    before = k.run("diff", "-f", path)
    assert (before.status, "+  colour: blue" in before.out) == (1, True), str(before)
    assert "deployment.apps/app created" in k("apply", "-f", path)
    assert k("apply", "-f", path).count("unchanged") == 2
    same = k.run("diff", "-f", path)
    assert (same.status, same.out) == (0, ""), str(same)
    uid = k.read("deployment", "app")["metadata"]["uid"]
    k.file("app.json", deployment("app", replicas=2), config_map("app", size="xl"))
    changed = k.run("diff", "-f", path)
    assert changed.status == 1
    assert all(line in changed.out for line in ("-  replicas: 1", "+  replicas: 2", "-  colour: blue", "+  size: xl"))
    assert k("apply", "-f", path).count("configured") == 2
    assert (replicas_of(k, "app"), k.read("deployment", "app")["metadata"]["uid"]) == (2, uid)
    assert data_of(k, "app") == {"size": "xl"}
    assert '"size":"xl"' in k("apply", "view-last-applied", "configmap/app", "-o", "json").replace(" ", "")


def test_apply_leaves_alone_what_others_set_and_removes_what_it_no_longer_says(k: Session) -> None:
    path = k.file("web.json", deployment("web"))
    k("apply", "-f", path)
    k("annotate", "deployment", "web", "owner=asha")
    k("set", "env", "deployment/web", "GREETING=hi")
    without = deployment("web")
    del without["spec"]["replicas"]
    del without["metadata"]["labels"]
    k.file("web.json", without)
    k("apply", "-f", path)
    found = k.read("deployment", "web")
    assert found["metadata"]["annotations"]["owner"] == "asha"
    assert "labels" not in found["metadata"]
    assert found["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "GREETING", "value": "hi"}]


def test_apply_prunes_and_reads_kustomizations(k: Session) -> None:
    folder = k.folder / "kustomized"
    folder.mkdir()
    (folder / "one.json").write_text(json.dumps(config_map("one", a="1")))
    (folder / "kustomization.yaml").write_text("namePrefix: my-\nlabels: [{pairs: {set: a}}]\nresources: [one.json]\n")
    k("apply", "-k", str(folder))
    assert k.read("configmap", "my-one")["metadata"]["labels"] == {"set": "a"}
    other = config_map("other", b="2")
    other["metadata"]["labels"] = {"set": "a"}
    path = k.file("other.json", other)
    k("apply", "-f", path, "--prune", "-l", "set=a", "--prune-allowlist=core/v1/ConfigMap")
    assert k.names("configmap", "-l", "set=a") == {"configmap/other"}


def test_server_side_apply_keeps_who_said_what_and_names_the_conflict(k: Session) -> None:
    path = k.file("web.json", deployment("web", replicas=1))
    k("apply", "--server-side", "-f", path)
    theirs = k.file("theirs.json", deployment("web", replicas=3))
    refused = k.refused("apply", "--server-side", f"--field-manager={FOREIGN}", "-f", theirs)
    assert "conflict with" in refused
    assert ".spec.replicas" in refused
    assert replicas_of(k, "web") == 1
    k("apply", "--server-side", "--force-conflicts", f"--field-manager={FOREIGN}", "-f", theirs)
    found = json.loads(k("get", "deployment", "web", "-o", "json", "--show-managed-fields"))
    owners = {
        one["manager"]: one["operation"]
        for one in found["metadata"]["managedFields"]
        if "f:replicas" in one["fieldsV1"].get("f:spec", {})
    }
    assert (found["spec"]["replicas"], owners) == (3, {FOREIGN: "Apply"})
    k.file("web.json", {**deployment("web"), "spec": {**deployment("web")["spec"], "replicas": 3}})
    k("apply", "--server-side", "-f", path)
    assert k.run("diff", "--server-side", "-f", path).status == 0


def test_server_side_apply_takes_over_from_client_side_apply(k: Session) -> None:
    path = k.file("cm.json", config_map("shared", a="1", b="2"))
    k("apply", "-f", path)
    k.file("cm.json", config_map("shared", a="1"))
    k("apply", "--server-side", "-f", path)
    found = json.loads(k("get", "configmap", "shared", "-o", "json", "--show-managed-fields"))
    assert found["data"] == {"a": "1"}
    assert {"manager": "kubectl", "operation": "Apply"}.items() <= found["metadata"]["managedFields"][0].items()
    assert '"b"' not in found["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    k.file("cm.json", config_map("shared", c="3"))
    k("apply", "-f", path)
    assert data_of(k, "shared") == {"c": "3"}


# --- edit, label, annotate, set, patch, replace ----------------------------------------------------------------


def test_edit_opens_an_editor_and_saves_what_it_left(k: Session) -> None:
    k("apply", "-f", k.file("web.json", deployment("web")))
    assert "edited" in k("edit", "deployment", "web", env=k.editor("s/replicas: 1/replicas: 2/"))
    assert replicas_of(k, "web") == 2
    assert "no changes made" in k.run("edit", "deployment", "web", env=k.editor()).err
    failed = k.run("edit", "deployment", "web", env=k.editor("s/replicas: 2/replicas: many/"))
    assert failed.status != 0
    assert "replicas" in failed.err
    assert replicas_of(k, "web") == 2


def test_labels_and_annotations_are_set_overwritten_listed_and_removed(k: Session) -> None:
    for name in ("one", "two"):
        k("create", "configmap", name)
    k("label", "configmap", "one", "tier=front", "team=a")
    assert "already has a value" in k.refused("label", "configmap", "one", "tier=back")
    k("label", "configmap", "one", "tier=back", "--overwrite")
    assert k.read("configmap", "one")["metadata"]["labels"] == {"tier": "back", "team": "a"}
    k("label", "configmaps", "-l", "tier=back", "tier-", "new=yes")
    assert k.names("configmap", "-l", "new=yes,!tier") == {"configmap/one"}
    assert set(k("label", "configmap", "one", "--list").split()) == {"new=yes", "team=a"}
    k("annotate", "configmap", "one", "two", "note=a long story")
    assert k.read("configmap", "two")["metadata"]["annotations"] == {"note": "a long story"}
    stale = k.refused("annotate", "configmap", "two", "note=b", "--overwrite", "--resource-version=1")
    assert "the object has been modified" in stale
    k("annotate", "configmap", "two", "note-")
    assert "annotations" not in k.read("configmap", "two")["metadata"]
    assert 'Invalid value: "bad key!"' in k.refused("label", "configmap", "one", "bad key!=1")


def test_set_changes_images_environment_resources_and_accounts(k: Session) -> None:
    k("apply", "-f", k.file("web.json", deployment("web")))
    k("create", "configmap", "env", "--from-literal=COLOUR=blue")
    k("create", "serviceaccount", "runner")
    k("set", "image", "deployment/web", f"web={WEB_V2}")
    k("set", "env", "deployment/web", "GREETING=namaste")
    k("set", "env", "deployment/web", "--from=configmap/env")
    k("set", "resources", "deployment", "web", "--requests=cpu=10m,memory=32Mi", "--limits=memory=256Mi")
    k("set", "serviceaccount", "deployment", "web", "runner")
    k("rollout", "status", "deployment/web", "--timeout=30s")
    spec = k.read("deployment", "web")["spec"]["template"]["spec"]
    main = spec["containers"][0]
    assert (main["image"], spec["serviceAccountName"]) == (WEB_V2, "runner")
    assert main["resources"] == {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}}
    assert "GREETING=namaste" in k("set", "env", "deployment/web", "--list")
    said = k("exec", "deployment/web", "--", "sh", "-c", "echo $GREETING $COLOUR $VERSION")
    assert said == "namaste blue v2\n"


def test_patch_speaks_three_dialects_and_subresources(k: Session) -> None:
    k("apply", "-f", k.file("web.json", deployment("web")))
    strategic = {"spec": {"template": {"spec": {"containers": [{"name": "web", "workingDir": "/tmp"}]}}}}
    k("patch", "deployment", "web", "-p", json.dumps(strategic))
    main = k.read("deployment", "web")["spec"]["template"]["spec"]["containers"][0]
    assert (main["image"], main["workingDir"]) == (WEB, "/tmp")
    k("patch", "deployment", "web", "--type=merge", "-p", '{"metadata":{"labels":{"app":null,"kind":"shop"}}}')
    assert k.read("deployment", "web")["metadata"]["labels"] == {"kind": "shop"}
    operations = [
        {"op": "test", "path": "/spec/replicas", "value": 1},
        {"op": "remove", "path": "/metadata/labels/kind"},
    ]
    k("patch", "deployment", "web", "--type=json", "-p", json.dumps(operations))
    assert "labels" not in k.read("deployment", "web")["metadata"]
    wrong = [{"op": "test", "path": "/spec/replicas", "value": 9}]
    k.refused("patch", "deployment", "web", "--type=json", "-p", json.dumps(wrong))
    k("patch", "deployment", "web", "--subresource=scale", "--type=merge", "-p", '{"spec":{"replicas":2}}')
    assert replicas_of(k, "web") == 2


def test_replace_swaps_the_whole_and_notices_a_stale_version(k: Session) -> None:
    k("create", "-f", k.file("cm.json", config_map("cm", a="1")))
    old = k.read("configmap", "cm")
    k("replace", "-f", k.file("cm.json", config_map("cm", b="2")))
    assert data_of(k, "cm") == {"b": "2"}
    assert "the object has been modified" in k.refused("replace", "-f", "-", stdin=json.dumps(old))
    k("replace", "--force", "-f", "-", stdin=json.dumps(config_map("cm", c="3")))
    again = k.read("configmap", "cm")
    assert (again["data"], again["metadata"]["uid"] == old["metadata"]["uid"]) == ({"c": "3"}, False)
    missing = k.refused("replace", "-f", "-", stdin=json.dumps(config_map("nowhere", a="1")))
    assert 'configmaps "nowhere" not found' in missing


# --- dry runs and refusals -------------------------------------------------------------------------------------


def test_a_server_dry_run_judges_and_changes_nothing(k: Session) -> None:
    k("apply", "-f", k.file("web.json", deployment("web")))
    before = k.read("deployment", "web")["metadata"]["generation"]
    shown = k("create", "deployment", "ghost", f"--image={WEB}", "--dry-run=server", "-o", "json")
    assert json.loads(shown)["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": "25%", "maxUnavailable": "25%"}
    more = k.file("more.json", deployment("web", replicas=5))
    assert "(server dry run)" in k("apply", "-f", more, "--dry-run=server")
    k("scale", "deployment/web", "--replicas=4", "--dry-run=server")
    k("delete", "deployment", "web", "--dry-run=server")
    assert k.names("deployments") == {"deployment.apps/web"}
    assert k.read("deployment", "web")["metadata"]["generation"] == before
    client = k("run", "ghost", f"--image={SHELL}", "--dry-run=client", "-o", "yaml")
    assert "kind: Pod" in client
    bad = deployment("bad")
    bad["spec"]["selector"]["matchLabels"] = {"app": "another"}
    assert "selector" in k.refused("create", "-f", k.file("bad.json", bad), "--dry-run=server")


def test_what_cannot_be_is_refused_with_the_field_that_is_wrong(k: Session) -> None:
    misspelt = deployment("web")
    misspelt["spec"]["replicsa"] = 3
    path = k.file("misspelt.json", misspelt)
    assert 'unknown field "spec.replicsa"' in k.refused("apply", "-f", path)
    assert 'unknown field "spec.replicsa"' in k.run("apply", "-f", path, "--validate=warn").err
    k("apply", "-f", k.file("web.json", deployment("web")))
    moved = deployment("web")
    moved["spec"]["selector"]["matchLabels"] = moved["spec"]["template"]["metadata"]["labels"] = {"app": "moved"}
    assert "spec.selector" in k.refused("apply", "-f", k.file("moved.json", moved))
    unknown = json.dumps({**deployment("web"), "apiVersion": "apps/v9"})
    assert 'no matches for kind "Deployment" in version "apps/v9"' in k.refused("create", "-f", "-", stdin=unknown)
    assert "metadata.name" in k.refused("create", "configmap", "Not_A_Name")
    empty = deployment("empty")
    empty["spec"]["template"]["spec"]["containers"] = []
    assert "spec.template.spec.containers: Required value" in k.refused("create", "-f", k.file("e.json", empty))


def test_a_namespace_that_enforces_pod_security_warns_refuses_and_takes_what_is_hardened(k: Session) -> None:
    """As kubectl prints it, word for word."""
    asks = 'PodSecurity "restricted:latest"'
    reasons = "allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile"
    k("run", "old", f"--image={SHELL}", "--", "sleep", "60")
    enforced = k.run("label", "namespace", k.namespace, "pod-security.kubernetes.io/enforce=restricted")
    assert (enforced.out, enforced.err.splitlines()) == (
        f"namespace/{k.namespace} labeled\n",
        [
            f'Warning: existing pods in namespace "{k.namespace}" violate the new PodSecurity enforce level '
            '"restricted:latest"',
            f"Warning: old: {reasons}",
        ],
    )
    detail = (
        'allowPrivilegeEscalation != false (container "{0}" must set securityContext.allowPrivilegeEscalation=false), '
        'unrestricted capabilities (container "{0}" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot '
        '!= true (pod or container "{0}" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container '
        '"{0}" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
    )
    assert k.refused("run", "new", f"--image={SHELL}") == (
        f'Error from server (Forbidden): pods "new" is forbidden: violates {asks}: {detail.format("new")}\n'
    )
    made = k.run("create", "-f", k.file("web.json", deployment("web")))
    assert (made.out, made.err) == (
        "deployment.apps/web created\n",
        f"Warning: would violate {asks}: {detail.format('web')}\n",
    )
    told = eventually(lambda: k.names("events", "--field-selector=reason=FailedCreate"))
    assert f"is forbidden: violates {asks}" in k("get", *sorted(told)[:1], "--output=jsonpath={.message}")
    assert k.names("pods") == {"pod/old"}
    hardened = pod("hardened", "sleep", "60")
    hardened["spec"]["securityContext"] = {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    hardened["spec"]["containers"][0]["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert k.run("create", "-f", k.file("hardened.json", hardened)).err == ""
    wrong = k.refused("label", "namespace", k.namespace, "pod-security.kubernetes.io/warn=strict")
    assert 'metadata.labels[pod-security.kubernetes.io/warn]: Invalid value: "strict": must be one of' in wrong
