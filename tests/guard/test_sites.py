"""Two clusters are alike when they do the same in the same way, and what each makes for itself does not count."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from dabbawala.apimachinery.meta import Object
from dabbawala.guard import sites
from dabbawala.guard.inventory import Inventory

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64


def made(api_version: str, kind: str, name: str, namespace: str = "", **more: Any) -> Object:
    metadata: Object = {"name": name, "uid": f"{kind}-{namespace}-{name}"}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}


def site() -> list[Object]:
    template = {"spec": {"containers": [{"name": "web", "image": "registry.example.com/web:1", "env": []}]}}
    pod = made("v1", "Pod", "web-x1", "shop", spec=template["spec"], status={
        "containerStatuses": [{"name": "web", "imageID": f"registry.example.com/web@{DIGEST}"}],
    })  # fmt: skip
    pod["metadata"]["ownerReferences"] = [
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "name": "web",
            "uid": "StatefulSet-shop-web",
            "controller": True,
        }
    ]
    info = {"kubeletVersion": "v1.36.2", "osImage": "Ubuntu 24.04.1 LTS"}
    return [
        made("v1", "Node", "n1", status={"nodeInfo": info}),
        made("v1", "Namespace", "shop"),
        made("apps/v1", "StatefulSet", "web", "shop", spec={"replicas": 3, "template": template}),
        pod,
        made("networking.k8s.io/v1", "NetworkPolicy", "deny", "shop", spec={"podSelector": {}}),
        made("apiextensions.k8s.io/v1", "CustomResourceDefinition", "a.example.com", spec={
            "versions": [{"name": "v1", "served": True}, {"name": "v2", "served": False}],
        }),
        made("rbac.authorization.k8s.io/v1", "Role", "reader", "shop", rules=[{"verbs": ["get"]}]),
        made("v1", "ConfigMap", "settings", "shop", data={"mode": "fast"}),
        made("v1", "Secret", "db", "shop", type="Opaque", data={"password": "eA=="}),
    ]  # fmt: skip


def container(objects: list[Object]) -> Object:
    found: Object = the(objects, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    return found


def the(objects: list[Object], kind: str) -> Object:
    return next(obj for obj in objects if obj["kind"] == kind)


def differences(change: Callable[[list[Object]], Any]) -> list[tuple[str, str]]:
    here, there = site(), copy.deepcopy(site())
    change(there)
    found = sites.compare(*(Inventory((obj, None) for obj in each) for each in (here, there)))
    return [(each.part, each.subject) for each in found.differences]


ALIKE: dict[str, Callable[[list[Object]], Any]] = {
    "nothing": lambda _: None,
    "a node has another name": lambda there: the(there, "Node")["metadata"].update(name="r1"),
    "there is one node more": lambda there: there.append({**the(there, "Node"), "metadata": {"name": "n2"}}),
    "it runs fewer replicas": lambda there: the(there, "StatefulSet")["spec"].update(replicas=1),
    "a pod has another name": lambda there: the(there, "Pod")["metadata"].update(name="web-y9"),
    "a password differs": lambda there: the(there, "Secret")["data"].update(password="eQ=="),
    "it has a certificate of its own": lambda there: there.append(
        made("v1", "ConfigMap", "kube-root-ca.crt", "shop", data={"ca.crt": "x"})
    ),
    "objects are older": lambda there: the(there, "NetworkPolicy")["metadata"].update(creationTimestamp="2020-01-01"),
}  # fmt: skip
DIFFERENT: dict[str, tuple[Callable[[list[Object]], Any], tuple[str, str]]] = {
    "a node is older": (
        lambda there: the(there, "Node")["status"]["nodeInfo"].update(kubeletVersion="v1.35.1"),
        ("versions", "Kubernetes of the nodes"),
    ),
    "the system was not patched": (
        lambda there: the(there, "Node")["status"]["nodeInfo"].update(osImage="Ubuntu 22.04.3 LTS"),
        ("versions", "system of the nodes"),
    ),
    "one tag stands for two images": (
        lambda there: the(there, "Pod")["status"]["containerStatuses"][0].update(imageID=f"web@{OTHER}"),
        ("images", "StatefulSet shop/web"),
    ),
    "an older image": (
        lambda there: container(there).update(image="web:0"),
        ("images", "StatefulSet shop/web"),
    ),
    "a variable more": (
        lambda there: container(there)["env"].append({"name": "A"}),
        ("configuration", "StatefulSet shop/web"),
    ),
    "a policy is missing": (
        lambda there: there.remove(the(there, "NetworkPolicy")), ("policies", "NetworkPolicy shop/deny"),
    ),
    "a namespace is held less": (
        lambda there: the(there, "Namespace")["metadata"].update(
            labels={"pod-security.kubernetes.io/enforce": "baseline"}
        ),
        ("policies", "Namespace shop"),
    ),
    "a kind is served in another version": (
        lambda there: the(there, "CustomResourceDefinition")["spec"]["versions"][1].update(served=True),
        ("definitions", "CustomResourceDefinition a.example.com"),
    ),
    "a role allows more": (
        lambda there: the(there, "Role")["rules"][0]["verbs"].append("delete"), ("rights", "Role shop/reader"),
    ),
    "a setting differs": (
        lambda there: the(there, "ConfigMap")["data"].update(mode="slow"), ("configuration", "ConfigMap shop/settings"),
    ),
    "a key of a Secret is missing": (
        lambda there: the(there, "Secret")["data"].clear(), ("configuration", "Secret shop/db"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", ALIKE.values(), ids=ALIKE)
def test_what_each_cluster_has_of_its_own_is_no_difference(change: Callable[[list[Object]], Any]) -> None:
    assert differences(change) == []


@pytest.mark.parametrize(("change", "expected"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_recovery_would_do_differently_is_one(
    change: Callable[[list[Object]], Any], expected: tuple[str, str]
) -> None:
    assert differences(change) == [expected]


def test_what_may_differ_is_told_apart_and_not_left_out() -> None:
    there = site()
    the(there, "ConfigMap")["data"]["mode"] = "slow"
    here, other = (Inventory((obj, None) for obj in each) for each in (site(), there))
    found = sites.compare(here, other, ["ConfigMap shop/set*"])
    assert not found.differences
    assert [each.subject for each in found.excepted] == ["ConfigMap shop/settings"]
    assert found.to_json()["excepted"][0]["part"] == "configuration"


def test_it_does_not_matter_which_of_the_two_is_first() -> None:
    there = [obj for obj in site() if obj["kind"] != "Role"]
    here, other = (Inventory((obj, None) for obj in each) for each in (site(), there))
    (one,), (two,) = sites.compare(here, other).differences, sites.compare(other, here).differences
    assert (one.primary, one.recovery) == (two.recovery, two.primary)
    assert one.recovery == sites.ABSENT
