"""What new objects get from the cluster they are made in: accounts, priorities, classes, addresses, finalizers."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from dabbawala.api import core_v1, node_v1, scheduling_v1, storage_v1
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import Forbidden, Invalid, NotFound
from dabbawala.client.client import Client
from dabbawala.cluster.apiserver.app import APIServer
from tests.cluster.apiserver.core_calls import config_map, pod

MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def service(name: str, **spec: object) -> Object:
    ports = [{"port": 80}]
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"ports": ports, **spec}}


async def test_nothing_is_created_in_a_missing_namespace(client: Client) -> None:
    with pytest.raises(NotFound, match='namespaces "nowhere" not found'):
        await client.create(core_v1.CONFIG_MAP, config_map("a"), "nowhere")


async def test_a_pod_mounts_the_token_of_its_account(client: Client) -> None:
    account = {"metadata": {"name": "default"}, "imagePullSecrets": [{"name": "reg"}]}
    await client.create(core_v1.SERVICE_ACCOUNT, account, "default")
    made = await client.create(core_v1.POD, pod("p", initContainers=[{"name": "i", "image": "x"}]))
    spec = made["spec"]
    assert spec["serviceAccountName"] == "default"
    assert spec["imagePullSecrets"] == [{"name": "reg"}]
    volume = spec["volumes"][0]
    assert volume["name"].startswith("kube-api-access-")
    sources = [next(iter(source)) for source in volume["projected"]["sources"]]
    assert sources == ["serviceAccountToken", "configMap", "downwardAPI"]
    for container in (*spec["containers"], *spec["initContainers"]):
        assert container["volumeMounts"] == [{"name": volume["name"], "readOnly": True, "mountPath": MOUNT}]


@pytest.mark.parametrize(("account", "wanted"), [(False, None), (True, False), (False, False)])
async def test_a_token_that_is_not_wanted_is_not_mounted(client: Client, account: bool, wanted: bool | None) -> None:
    body = {"metadata": {"name": "default"}, "automountServiceAccountToken": account}
    await client.create(core_v1.SERVICE_ACCOUNT, body, "default")
    spec = {} if wanted is None else {"automountServiceAccountToken": wanted}
    made = await client.create(core_v1.POD, pod("p", **spec))
    assert "volumes" not in made["spec"]


async def test_a_pod_needs_its_account(client: Client) -> None:
    with pytest.raises(Forbidden, match='serviceaccount "robot" not found'):
        await client.create(core_v1.POD, pod("p", serviceAccountName="robot"))


async def test_a_whole_cluster_refuses_pods_until_the_default_account_exists(server: APIServer, client: Client) -> None:
    server.core.service_accounts_required = True
    with pytest.raises(Forbidden, match="error looking up service account default/default"):
        await client.create(core_v1.POD, pod("p"))


async def test_pods_tolerate_lost_nodes_for_five_minutes(client: Client) -> None:
    mine = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"}
    made = await client.create(core_v1.POD, pod("p", tolerations=[mine]))
    added = {
        "key": "node.kubernetes.io/not-ready",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 300,
    }
    assert made["spec"]["tolerations"] == [mine, added]
    everything = await client.create(core_v1.POD, pod("q", tolerations=[{"operator": "Exists"}]))
    assert everything["spec"]["tolerations"] == [{"operator": "Exists"}]


async def test_priorities_come_from_classes(client: Client) -> None:
    high = {"metadata": {"name": "high"}, "value": 1000, "preemptionPolicy": "Never"}
    await client.create(scheduling_v1.PRIORITY_CLASS, high)
    made = await client.create(core_v1.POD, pod("p", priorityClassName="high"))
    assert (made["spec"]["priority"], made["spec"]["preemptionPolicy"]) == (1000, "Never")
    system = await client.create(core_v1.POD, pod("s", priorityClassName="system-node-critical"))
    assert system["spec"]["priority"] == 2_000_001_000
    with pytest.raises(Forbidden, match="no PriorityClass with name none was found"):
        await client.create(core_v1.POD, pod("n", priorityClassName="none"))
    with pytest.raises(Forbidden, match="must not be provided in pod spec"):
        await client.create(core_v1.POD, pod("m", priority=7))
    await client.create(scheduling_v1.PRIORITY_CLASS, {"metadata": {"name": "d"}, "value": 5, "globalDefault": True})
    usual = await client.create(core_v1.POD, pod("u"))
    assert (usual["spec"]["priorityClassName"], usual["spec"]["priority"]) == ("d", 5)


async def test_a_runtime_class_brings_its_overhead_and_its_nodes(client: Client) -> None:
    chosen = {
        "metadata": {"name": "sim"}, "handler": "simulated", "overhead": {"podFixed": {"cpu": "10m"}},
        "scheduling": {"nodeSelector": {"runtime": "sim"}, "tolerations": [{"key": "sim", "operator": "Exists"}]},
    }  # fmt: skip
    await client.create(node_v1.RUNTIME_CLASS, chosen)
    made = (await client.create(core_v1.POD, pod("p", runtimeClassName="sim")))["spec"]
    assert made["overhead"] == {"cpu": "10m"}
    assert made["nodeSelector"] == {"runtime": "sim"}
    assert {"key": "sim", "operator": "Exists"} in made["tolerations"]
    with pytest.raises(Forbidden, match="conflict"):
        await client.create(core_v1.POD, pod("q", runtimeClassName="sim", nodeSelector={"runtime": "real"}))
    with pytest.raises(Forbidden, match='RuntimeClass "none" not found'):
        await client.create(core_v1.POD, pod("r", runtimeClassName="none"))


async def test_claims_get_the_default_class_and_protection(client: Client) -> None:
    marked = {"storageclass.kubernetes.io/is-default-class": "true"}
    for name, noted in (("plain", {}), ("usual", marked)):
        body = {"metadata": {"name": name, "annotations": noted}, "provisioner": "x"}
        await client.create(storage_v1.STORAGE_CLASS, body)
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    kind = core_v1.PERSISTENT_VOLUME_CLAIM
    made = await client.create(kind, {"metadata": {"name": "c"}, "spec": spec}, "default")
    assert made["spec"]["storageClassName"] == "usual"
    assert made["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    none = await client.create(kind, {"metadata": {"name": "n"}, "spec": {**spec, "storageClassName": ""}}, "default")
    assert none["spec"]["storageClassName"] == ""


# Services --------------------------------------------------------------------------------------------------------


async def test_services_get_addresses_of_their_own(client: Client) -> None:
    made = [await client.create(core_v1.SERVICE, service(f"s{index}")) for index in range(3)]
    addresses = [item["spec"]["clusterIP"] for item in made]
    assert len(set(addresses)) == 3
    assert addresses[0] == "10.96.1.0"
    assert made[0]["spec"]["clusterIPs"] == [addresses[0]]
    assert (made[0]["spec"]["ipFamilies"], made[0]["spec"]["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")


async def test_an_address_asked_for_is_given_once(client: Client) -> None:
    made = await client.create(core_v1.SERVICE, service("a", clusterIP="10.96.0.10"))
    assert made["spec"]["clusterIP"] == "10.96.0.10"
    with pytest.raises(Invalid, match="provided IP is already allocated"):
        await client.create(core_v1.SERVICE, service("b", clusterIP="10.96.0.10"))
    with pytest.raises(Invalid, match="does not match the current range"):
        await client.create(core_v1.SERVICE, service("c", clusterIP="192.168.0.1"))
    await client.delete(core_v1.SERVICE, "a", "default")
    await client.create(core_v1.SERVICE, service("b", clusterIP="10.96.0.10"))


async def test_headless_and_external_services_have_no_address(client: Client) -> None:
    headless = await client.create(core_v1.SERVICE, service("h", clusterIP="None"))
    assert headless["spec"]["clusterIPs"] == ["None"]
    external = await client.create(core_v1.SERVICE, service("e", type="ExternalName", externalName="example.com"))
    assert "clusterIP" not in external["spec"]


async def test_services_made_at_once_share_no_address_and_no_port(client: Client) -> None:
    wanted = [service(f"s{index}", type="NodePort") for index in range(20)]
    made = await asyncio.gather(*(client.create(core_v1.SERVICE, item) for item in wanted))
    assert len({item["spec"]["clusterIP"] for item in made}) == 20
    ports = {item["spec"]["ports"][0]["nodePort"] for item in made}
    assert len(ports) == 20
    assert all(30086 <= port <= 32767 for port in ports)


@pytest.mark.parametrize(
    ("port", "message"), [(30080, "provided port is already allocated"), (8080, "not in the valid range")]
)
async def test_a_node_port_is_given_once_and_from_its_range(client: Client, port: int, message: str) -> None:
    first = service("a", type="NodePort", ports=[{"port": 80, "nodePort": 30080}])
    await client.create(core_v1.SERVICE, first)
    with pytest.raises(Invalid, match=message) as caught:
        await client.create(core_v1.SERVICE, service("b", type="NodePort", ports=[{"port": 80, "nodePort": port}]))
    assert caught.value.details["causes"][0]["field"] == "spec.ports[0].nodePort"


async def test_one_node_port_serves_two_protocols(client: Client) -> None:
    ports = [
        {"name": "t", "port": 53, "nodePort": 30053},
        {"name": "u", "port": 53, "protocol": "UDP", "nodePort": 30053},
    ]
    await client.create(core_v1.SERVICE, service("dns", type="NodePort", ports=ports))


async def test_an_update_that_leaves_out_what_was_given_keeps_it(client: Client) -> None:
    made = await client.create(core_v1.SERVICE, service("a", type="NodePort"))
    again = service("a", type="NodePort", selector={"app": "x"})
    again["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"]
    after = await client.update(core_v1.SERVICE, again)
    assert after["spec"]["clusterIP"] == made["spec"]["clusterIP"]
    assert after["spec"]["ports"] == made["spec"]["ports"]
    back = await client.patch(core_v1.SERVICE, "a", "default", {"spec": {"type": "ClusterIP"}})
    assert "nodePort" not in back["spec"]["ports"][0]
    port = made["spec"]["ports"][0]["nodePort"]
    await client.create(core_v1.SERVICE, service("b", type="NodePort", ports=[{"port": 80, "nodePort": port}]))


async def test_a_refused_service_gives_back_what_it_reserved(client: Client) -> None:
    bad = service("a", clusterIP="10.96.0.20", type="NodePort", ports=[{"port": 0, "nodePort": 30080}])
    with pytest.raises(Invalid):
        await client.create(core_v1.SERVICE, bad)
    good = service("b", clusterIP="10.96.0.20", type="NodePort", ports=[{"port": 80, "nodePort": 30080}])
    await client.create(core_v1.SERVICE, good)


async def test_pods_of_one_template_get_one_spec_to_the_byte(client: Client) -> None:
    """What is known of a spec by its bytes, its fields and its validity, is then known of all of them."""
    await client.create(core_v1.SERVICE_ACCOUNT, {"metadata": {"name": "default"}}, "default")
    one, other = [await client.create(core_v1.POD, pod(name)) for name in ("a", "b")]
    assert orjson.dumps(one["spec"]) == orjson.dumps(other["spec"])
    assert one["metadata"]["managedFields"] == other["metadata"]["managedFields"]
