"""Pod Security at the door: what is refused, what is warned of, what the audit log keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from dabbawala.api.apps_v1 import DEPLOYMENT
from dabbawala.api.core_v1 import POD
from dabbawala.api.kinds import KINDS
from dabbawala.apimachinery import status
from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import admission_pod_security, standard
from dabbawala.cluster.apiserver.admission_pod_security import Configuration, PodSecurity
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.apiserver.core import Plugins
from dabbawala.cluster.apiserver.plugins import Admission, Exchange
from dabbawala.cluster.apiserver.request import LOOPBACK
from dabbawala.cluster.apiserver.standard import Extras
from dabbawala.cluster.apiserver.tokens import Signer
from dabbawala.policy.pod_security.levels import BASELINE, LATEST, RESTRICTED, LevelVersion, Policy, Version
from tests.cluster.apiserver.core_calls import MERGE, Answer, call
from tests.policy.pod_security_fixtures import Fixture, changed, fixtures, least_pod

P = "pod-security.kubernetes.io/"
NAMESPACES = "/api/v1/namespaces"
SHOP = f"{NAMESPACES}/shop"
PODS = f"{SHOP}/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/shop/deployments"
NOT_RESTRICTED = (
    'allowPrivilegeEscalation != false (container "main" must set securityContext.allowPrivilegeEscalation=false), '
    'unrestricted capabilities (container "main" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != '
    'true (pod or container "main" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container '
    '"main" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
)


def opened(configuration: Configuration | None = None, *, audit: list[Exchange] | None = None) -> APIServer:
    """A server with Pod Security and nothing else plugged in."""
    return APIServer.in_memory(
        KINDS,
        clock=VirtualClock(),
        plugins=lambda core: Plugins(
            validators=(PodSecurity(core, configuration),), audit=audit.append if audit is not None else None
        ),
    )


def unguarded(server: APIServer) -> APIServer:
    """A door to the same state that nobody watches, as it was before there was Pod Security."""
    return APIServer(server.core)


@pytest.fixture
async def server() -> AsyncIterator[APIServer]:
    async with opened() as server:
        yield server


async def label(server: APIServer, name: str = "shop", **modes: str) -> Answer:
    """Make the namespace, or label it anew; `enforce_version` stands for the label enforce-version."""
    labels = {P + mode.replace("_", "-"): value for mode, value in modes.items()}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    answer = await call(server, "POST", NAMESPACES, body)
    if answer.status == 409:
        answer = await call(server, "PATCH", f"{NAMESPACES}/{name}", {"metadata": body["metadata"]}, content_type=MERGE)
    return answer


def pod(name: str = "web", **spec: object) -> Object:
    made = {"containers": [{"name": "main", "image": "app:1"}], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": made}


def deployment(**spec: object) -> Object:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod(**spec)["spec"]}
    wanted = {"selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": wanted}


def warnings(answer: Answer) -> list[str]:
    """The texts of the Warning header."""
    header = answer.headers.get("warning", "")
    texts = [part.strip().removesuffix(",").strip() for part in header.split("299 - ") if part]
    return [text[1:-1].replace('\\"', '"') for text in texts]


# Enforcing -------------------------------------------------------------------------------------------------------


async def test_a_pod_is_refused_with_everything_that_it_violates(server: APIServer) -> None:
    await label(server, enforce="restricted")
    answer = await call(server, "POST", PODS, pod())
    assert answer.status == 403
    assert answer.json["reason"] == "Forbidden"
    assert answer.json["message"] == (
        f'pods "web" is forbidden: violates PodSecurity "restricted:latest": {NOT_RESTRICTED}'
    )
    assert answer.json["details"] == {"name": "web", "kind": "pods"}
    assert warnings(answer) == []
    assert (await call(server, "GET", f"{PODS}/web")).status == 404


async def test_the_version_of_the_label_decides_what_is_asked(server: APIServer) -> None:
    await label(server, enforce="baseline", enforce_version="v1.33")
    probing = {"containers": [{"name": "main", "image": "a", "livenessProbe": {"httpGet": {"port": 80, "host": "x"}}}]}
    assert (await call(server, "POST", PODS, pod(**probing))).status == 201
    await label(server, enforce_version="v1.34")
    answer = await call(server, "POST", PODS, pod("other", **probing))
    assert 'violates PodSecurity "baseline:v1.34": probe or lifecycle host (container "main"' in answer.json["message"]


async def test_a_pod_of_a_generated_name_is_refused_by_that_name(server: APIServer) -> None:
    await label(server, enforce="baseline")
    body = pod(hostPID=True)
    body["metadata"] = {"generateName": "web-"}
    message = (await call(server, "POST", PODS, body)).json["message"]
    assert message.startswith('pods "web-')
    assert message.endswith('" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostPID=true)')


@pytest.mark.parametrize("minor", range(30, 38))
async def test_every_fixture_of_upstream_gets_its_verdict_from_the_server(server: APIServer, minor: int) -> None:
    """Pods are refused, Deployments of such pods warned of. What the API's own rules refuse counts as refused if they
    name the field, as upstream's test counts it."""
    wrong = []
    for level in (BASELINE, RESTRICTED):
        await label(server, level, enforce=level, enforce_version=f"v1.{minor}")
        for fixture in fixtures(level, minor):
            wrong += [
                f"{fixture}: {told}" for told in (await refusal(server, fixture), await advice(server, fixture)) if told
            ]
    assert wrong == []


async def refusal(server: APIServer, fixture: Fixture) -> str:
    """What is wrong with how the server takes a pod; empty when nothing is."""
    body = {"apiVersion": "v1", "kind": "Pod", **fixture.pod, "metadata": {**fixture.pod["metadata"], "name": "test"}}
    answer = await call(server, "POST", f"{NAMESPACES}/{fixture.level}/pods?dryRun=All", body)
    message = str(answer.json.get("message", ""))
    right = answer.status in (403, 422) and fixture.says in message if fixture.fails else answer.status == 201
    return "" if right else f"{answer.status} {message}"


async def advice(server: APIServer, fixture: Fixture) -> str:
    """What is wrong with how the server takes a Deployment of such pods."""
    body = deployment()
    metadata = {**fixture.pod["metadata"], "labels": {"app": "web"}}
    body["spec"]["template"] = {"metadata": metadata, "spec": fixture.pod["spec"]}
    answer = await call(server, "POST", f"/apis/apps/v1/namespaces/{fixture.level}/deployments?dryRun=All", body)
    told = [text for text in warnings(answer) if "PodSecurity" in text]
    if answer.status == 422:
        right = fixture.fails and fixture.says in answer.json["message"]
    else:
        right = answer.status == 201 and fixture.fails is any(fixture.says in text for text in told) is bool(told)
    return "" if right else f"{answer.status} {answer.json.get('message')} {told}"


async def test_an_update_that_changes_no_image_is_not_judged_again(server: APIServer) -> None:
    await label(server)
    await call(server, "POST", PODS, pod(hostPID=True))
    await label(server, enforce="restricted")
    labelled = {"metadata": {"labels": {"a": "b"}, "finalizers": ["example.com/hold"]}}
    assert (await call(server, "PATCH", f"{PODS}/web", labelled, content_type=MERGE)).status == 200
    state = {"status": {"phase": "Running"}}
    assert (await call(server, "PATCH", f"{PODS}/web/status", state, content_type=MERGE)).status == 200
    image = {"spec": {"containers": [{"name": "main", "image": "app:2"}]}}
    answer = await call(server, "PATCH", f"{PODS}/web", image, content_type=MERGE)
    assert answer.status == 403
    assert "host namespaces (hostPID=true)" in answer.json["message"]
    assert (await call(server, "DELETE", f"{PODS}/web")).status == 200


async def test_a_namespace_without_labels_takes_everything(server: APIServer) -> None:
    await label(server)
    answer = await call(server, "POST", PODS, pod(hostPID=True, hostNetwork=True))
    assert (answer.status, warnings(answer)) == (201, [])


async def test_without_its_namespace_a_pod_is_refused_and_a_workload_noted(server: APIServer) -> None:
    guard = PodSecurity(server.core)
    lost = Admission("UPDATE", POD, "gone", "web", LOOPBACK, object=pod(), old=pod())
    with pytest.raises(status.InternalError, match='failed to lookup namespace "gone"'):
        await guard.validate(lost)
    made = Admission("CREATE", DEPLOYMENT, "gone", "web", LOOPBACK, object=deployment(hostPID=True))
    await guard.validate(made)
    assert (made.audit, made.warnings) == ({f"{P}error": 'failed to lookup namespace "gone"'}, [])


@pytest.mark.parametrize("part", ["exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"])
async def test_what_is_done_to_a_pod_without_changing_it_is_not_judged(server: APIServer, part: str) -> None:
    await label(server, enforce="baseline")
    await PodSecurity(server.core).validate(
        Admission("CREATE", POD, "shop", "web", LOOPBACK, object=pod(hostPID=True), subresource=part)
    )


async def test_a_debugging_container_that_is_added_is_judged(server: APIServer) -> None:
    await label(server, enforce="baseline")
    debug = {"name": "debug", "image": "sh", "securityContext": {"privileged": True}}
    added = pod(ephemeralContainers=[debug])
    wanted = Admission(
        "UPDATE", POD, "shop", "web", LOOPBACK, object=added, old=pod(), subresource="ephemeralcontainers"
    )
    with pytest.raises(status.Forbidden, match='privileged \\(container "debug" must not set'):
        await PodSecurity(server.core).validate(wanted)


async def test_what_is_deleted_is_not_judged(server: APIServer) -> None:
    await PodSecurity(server.core).validate(Admission("DELETE", POD, "gone", "web", LOOPBACK, old=pod()))


# Warning ---------------------------------------------------------------------------------------------------------


async def test_a_workload_is_made_with_a_warning_about_its_pods(server: APIServer) -> None:
    await label(server, enforce="restricted")
    answer = await call(server, "POST", DEPLOYMENTS, deployment())
    assert answer.status == 201
    assert warnings(answer) == [f'would violate PodSecurity "restricted:latest": {NOT_RESTRICTED}']
    scaled = {"spec": {"replicas": 2}}
    path = "/apis/apps/v1/namespaces/shop/deployments/web/scale"
    assert warnings(await call(server, "PATCH", path, scaled, content_type=MERGE)) == []


async def test_what_only_warns_refuses_nothing(server: APIServer) -> None:
    await label(server, enforce="baseline", warn="restricted", warn_version="v1.21")
    answer = await call(server, "POST", PODS, pod())
    assert answer.status == 201
    assert [text.split(":")[0] + ":" + text.split(":")[1] for text in warnings(answer)] == [
        'would violate PodSecurity "restricted:v1.21"'
    ]
    refused = await call(server, "POST", PODS, pod("other", hostPID=True))
    assert (refused.status, warnings(refused)) == (403, [])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/apis/batch/v1/namespaces/shop/jobs", {"kind": "Job", "spec": {"template": {}}}),
        ("/apis/apps/v1/namespaces/shop/replicasets", {"kind": "ReplicaSet", "spec": {"template": {}}}),
        ("/apis/apps/v1/namespaces/shop/daemonsets", {"kind": "DaemonSet", "spec": {"template": {}}}),
    ],
)
async def test_every_kind_that_makes_pods_is_looked_into(server: APIServer, path: str, body: Object) -> None:
    await label(server, warn="baseline")
    spec = body["spec"]
    spec["template"] = {"metadata": {"labels": {"app": "w"}}, "spec": {**pod(hostIPC=True)["spec"]}}
    if body["kind"] == "Job":
        spec["template"]["spec"]["restartPolicy"] = "Never"
    else:
        spec["selector"] = {"matchLabels": {"app": "w"}}
    answer = await call(server, "POST", path, {**body, "metadata": {"name": "w"}})
    assert answer.status == 201
    assert warnings(answer) == ['would violate PodSecurity "baseline:latest": host namespaces (hostIPC=true)']


# Namespaces ------------------------------------------------------------------------------------------------------


async def test_a_namespace_with_a_wrong_label_is_refused_with_the_field(server: APIServer) -> None:
    answer = await label(server, enforce="strict", warn_version="1.30")
    assert answer.status == 422
    assert answer.json["message"] == (
        f'Namespace "shop" is invalid: [metadata.labels[{P}enforce]: Invalid value: "strict": must be one of '
        f'privileged, baseline, restricted, metadata.labels[{P}warn-version]: Invalid value: "1.30": must be "latest" '
        'or "v1.x"]'
    )


async def test_an_update_may_keep_a_wrong_label_but_not_add_one(server: APIServer) -> None:
    await label(unguarded(server), enforce="strict")
    same = {"metadata": {"annotations": {"owner": "asha"}}}
    assert (await call(server, "PATCH", SHOP, same, content_type=MERGE)).status == 200
    assert (await label(server, enforce="strict", audit="none")).status == 422
    # A label that cannot be read closes the door.
    assert (await call(server, "POST", PODS, pod())).status == 403


async def test_tightening_names_the_pods_that_would_be_refused(server: APIServer) -> None:
    await label(server)
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u-1", "controller": True}
    for name in ("web-b", "web-a", "web-c"):
        body = pod(name)
        body["metadata"]["ownerReferences"] = [owner]
        await call(server, "POST", PODS, body)
    await call(server, "POST", PODS, pod("agent", hostPID=True))
    await call(server, "POST", PODS, pod("tracer", hostPID=True))
    good = changed(least_pod(RESTRICTED, 37), {})
    await call(server, "POST", PODS, {"apiVersion": "v1", "kind": "Pod", **good, "metadata": {"name": "good"}})
    answer = await label(server, enforce="restricted", enforce_version="v1.37")
    listed = "allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile"
    assert answer.status == 200
    assert warnings(answer) == [
        'existing pods in namespace "shop" violate the new PodSecurity enforce level "restricted:v1.37"',
        f"agent (and 1 other pod): host namespaces, {listed}",
        f"web-a (and 2 other pods): {listed}",
    ]
    assert warnings(await label(server, enforce="baseline")) == []  # the same version, and less strict
    again = await label(server, enforce_version="v1.36")
    assert warnings(again)[1:] == ["agent (and 1 other pod): host namespaces"]


async def test_only_so_many_pods_are_checked(server: APIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission_pod_security, "MAX_PODS_CHECKED", 2)
    await label(server)
    for name in ("a", "b", "c"):
        await call(server, "POST", PODS, pod(name, hostPID=True))
    assert warnings(await label(server, enforce="baseline")) == [
        "new PodSecurity enforce level only checked against the first 2 of 3 existing pods",
        'existing pods in namespace "shop" violate the new PodSecurity enforce level "baseline:latest"',
        "a (and 1 other pod): host namespaces",
    ]


async def test_a_dry_run_of_the_label_warns_and_changes_nothing(server: APIServer) -> None:
    await label(server)
    await call(server, "POST", PODS, pod(hostPID=True))
    body = {"metadata": {"labels": {f"{P}enforce": "baseline"}}}
    answer = await call(server, "PATCH", f"{SHOP}?dryRun=All", body, content_type=MERGE)
    assert len(warnings(answer)) == 2
    assert (await call(server, "POST", PODS, pod("other", hostPID=True))).status == 201


# Configuration ---------------------------------------------------------------------------------------------------


async def test_defaults_hold_where_a_namespace_says_nothing() -> None:
    asked = LevelVersion(BASELINE, Version(37))
    async with opened(Configuration(defaults=Policy(enforce=asked))) as server:
        await label(server)
        message = (await call(server, "POST", PODS, pod(hostPID=True))).json["message"]
        assert 'violates PodSecurity "baseline:v1.37"' in message
        await label(server, enforce="privileged")
        assert (await call(server, "POST", PODS, pod(hostPID=True))).status == 201


async def test_an_exempt_namespace_takes_everything_and_says_so_to_who_labels_it() -> None:
    heard: list[Exchange] = []
    async with opened(Configuration(namespaces=frozenset({"shop"})), audit=heard) as server:
        ignored = await label(server, enforce="restricted", enforce_version="v1.37", audit="baseline")
        assert warnings(ignored) == [
            'namespace "shop" is exempt from Pod Security, and the policy (enforce=restricted:v1.37, '
            "audit=baseline:latest) will be ignored"
        ]
        assert (await call(server, "POST", PODS, pod(hostPID=True))).status == 201
        assert annotations(heard) == {f"{P}exempt": "namespace"}
        assert warnings(await label(server, enforce_version="v1.36")) == [
            'namespace "shop" is exempt from Pod Security, and the policy (enforce=restricted:v1.36, '
            "audit=baseline:latest) will be ignored"
        ]
        assert warnings(await label(server, enforce="privileged", audit="privileged")) == []


async def test_pods_of_an_exempt_runtime_are_let_through() -> None:
    heard: list[Exchange] = []
    async with opened(Configuration(runtime_classes=frozenset({"gvisor"})), audit=heard) as server:
        runtime = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "gvisor"}}
        await call(server, "POST", "/apis/node.k8s.io/v1/runtimeclasses", {**runtime, "handler": "runsc"})
        await label(server)
        await call(server, "POST", PODS, pod("there", hostPID=True, runtimeClassName="gvisor"))
        assert warnings(await label(server, enforce="baseline")) == []
        sandboxed = deployment(hostPID=True, runtimeClassName="gvisor")
        for path, body in ((PODS, pod(hostPID=True, runtimeClassName="gvisor")), (DEPLOYMENTS, sandboxed)):
            answer = await call(server, "POST", path, body)
            assert (answer.status, warnings(answer)) == (201, [])
            assert annotations(heard) == {f"{P}exempt": "runtimeClass"}
        assert (await call(server, "POST", PODS, pod("other", hostPID=True))).status == 403


async def test_an_exempt_user_is_let_through() -> None:
    heard: list[Exchange] = []
    async with opened(Configuration(usernames=frozenset({"system:apiserver"})), audit=heard) as server:
        await label(server, enforce="restricted")
        for path, body in ((PODS, pod(hostPID=True)), (DEPLOYMENTS, deployment(hostPID=True))):
            answer = await call(server, "POST", path, body)
            assert (answer.status, warnings(answer)) == (201, [])
            assert annotations(heard) == {f"{P}exempt": "user"}


# The audit log ---------------------------------------------------------------------------------------------------


def annotations(heard: Sequence[Exchange]) -> dict[str, str]:
    return dict(heard[-1].request.annotations)


async def test_the_audit_log_keeps_the_policy_and_what_would_violate_it() -> None:
    heard: list[Exchange] = []
    async with opened(audit=heard) as server:
        await label(server)
        await call(server, "POST", PODS, pod())
        assert annotations(heard) == {f"{P}enforce-policy": "privileged:latest"}
        await label(server, enforce="baseline", audit="restricted", audit_version="v1.7", warn="privileged")
        await call(server, "POST", PODS, pod("other", hostPID=True))
        assert annotations(heard) == {
            f"{P}enforce-policy": "baseline:latest",
            f"{P}audit-violations": 'would violate PodSecurity "restricted:v1.7": host namespaces (hostPID=true), '
            'runAsNonRoot != true (pod or container "main" must set securityContext.runAsNonRoot=true)',
        }
        await call(server, "POST", DEPLOYMENTS, deployment(hostPID=True))
        assert set(annotations(heard)) == {f"{P}audit-violations"}


async def test_the_audit_log_says_that_a_label_could_not_be_read() -> None:
    heard: list[Exchange] = []
    async with opened(audit=heard) as server:
        await label(unguarded(server), enforce="strict")
        await call(server, "POST", PODS, pod())
        assert annotations(heard)[f"{P}error"] == (
            f'Failed to parse policy: metadata.labels[{P}enforce]: Invalid value: "strict": must be one of privileged, '
            "baseline, restricted"
        )


async def test_a_cluster_has_it_plugged_in_and_writes_it_down() -> None:
    heard: list[Exchange] = []
    signer = Signer(ec.generate_private_key(ec.SECP256R1()))
    async with APIServer.in_memory(
        KINDS,
        plugins=lambda core: standard.plugins(core, signer, build="t", extras=Extras(audit=heard.append)),
    ) as server:
        await label(server, enforce="baseline", enforce_version=str(LATEST))
        answer = await call(server, "POST", PODS, pod(hostPID=True))
        assert answer.status == 403
        assert annotations(heard)[f"{P}enforce-policy"] == "baseline:latest"
