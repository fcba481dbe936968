"""Limit ranges: what they give to new pods, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from dabbawala.api import core_v1, networking_v1
from dabbawala.apimachinery.status import Forbidden
from dabbawala.client.client import Client
from tests.cluster.apiserver.core_calls import pod

NOTE = "kubernetes.io/limit-ranger"


def limit_range(*items: dict[str, Any], name: str = "limits") -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"limits": list(items)}}


def sized(name: str, requests: dict[str, str] | None = None, limits: dict[str, str] | None = None) -> dict[str, Any]:
    resources = {"requests": requests or {}, "limits": limits or {}}
    return pod(name, containers=[{"name": "main", "image": "app:1", "resources": resources}])


async def refusal(client: Client, obj: dict[str, Any]) -> str:
    with pytest.raises(Forbidden) as caught:
        await client.create(core_v1.POD, obj)
    return caught.value.message


async def test_a_container_that_asks_for_nothing_gets_the_defaults(client: Client) -> None:
    item = {"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}, "defaultRequest": {"cpu": "0.25"}}
    await client.create(core_v1.LIMIT_RANGE, limit_range(item))
    init = {"name": "first", "image": "app:1", "resources": {"limits": {"cpu": "2"}}}
    made = await client.create(core_v1.POD, pod("p", initContainers=[init]))
    main, first = made["spec"]["containers"][0], made["spec"]["initContainers"][0]
    assert main["resources"] == {
        "limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "250m", "memory": "1Gi"},
    }  # fmt: skip
    assert first["resources"]["limits"] == {"cpu": "2", "memory": "1Gi"}
    assert first["resources"]["requests"] == {"cpu": "2", "memory": "1Gi"}  # its request was its limit already
    assert made["metadata"]["annotations"][NOTE] == (
        "LimitRanger plugin set: cpu, memory request for container main; cpu, memory limit for container main; "
        "memory request for init container first; memory limit for init container first"
    )
    assert made["status"]["qosClass"] == "Burstable"


async def test_nothing_is_given_where_nothing_is_missing_or_to_pods_elsewhere(client: Client) -> None:
    await client.create(core_v1.LIMIT_RANGE, limit_range({"type": "Container", "default": {"cpu": "1"}}))
    full = await client.create(core_v1.POD, sized("p", {"cpu": "1"}, {"cpu": "2"}))
    assert full["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}
    assert "annotations" not in full["metadata"]
    elsewhere = pod("p")
    elsewhere["metadata"]["namespace"] = "kube-system"
    assert (await client.create(core_v1.POD, elsewhere))["spec"]["containers"][0]["resources"] == {}


@pytest.mark.parametrize(
    ("item", "requests", "limits", "expected"),
    [
        ({"min": {"cpu": "200m"}}, {"cpu": "0.1"}, {}, "minimum cpu usage per Container is 200m, but request is 100m"),
        ({"type": "Pod", "min": {"cpu": "1"}}, {}, {}, "minimum cpu usage per Pod is 1.  No request is specified"),
        ({"max": {"memory": "1Gi"}}, {}, {"memory": "2Gi"},
         "maximum memory usage per Container is 1Gi, but limit is 2Gi"),
        ({"type": "Pod", "max": {"cpu": "1"}}, {"cpu": "1"}, {},
         "maximum cpu usage per Pod is 1.  No limit is specified"),
        ({"maxLimitRequestRatio": {"cpu": "2"}}, {"cpu": "1"}, {"cpu": "3"},
         "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000"),
        ({"maxLimitRequestRatio": {"cpu": "2"}}, {}, {},
         "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0"),
        ({"max": {"cpu": "1"}, "min": {"memory": "1Gi"}}, {"memory": "1Mi"}, {"cpu": "2"},
         "[minimum memory usage per Container is 1Gi, but request is 1Mi, "
         "maximum cpu usage per Container is 1, but limit is 2]"),
    ],
)  # fmt: skip
async def test_what_is_beyond_the_limits_is_refused(
    client: Client, item: dict[str, Any], requests: dict[str, str], limits: dict[str, str], expected: str
) -> None:
    await client.create(core_v1.LIMIT_RANGE, limit_range({"type": "Container", **item}))
    assert await refusal(client, sized("p", requests, limits)) == f'pods "p" is forbidden: {expected}'


async def test_a_pod_is_the_sum_of_its_containers_or_its_largest_init_container(client: Client) -> None:
    await client.create(core_v1.LIMIT_RANGE, limit_range({"type": "Pod", "max": {"cpu": "1"}}))

    def container(name: str, cpu: str) -> dict[str, Any]:
        return {"name": name, "image": "app:1", "resources": {"limits": {"cpu": cpu}}}

    await client.create(core_v1.POD, pod("p", containers=[container("a", "600m"), container("b", "400m")]))
    sums = pod("q", containers=[container("a", "600m"), container("b", "500m")])
    assert "but limit is 1100m" in await refusal(client, sums)
    peak = pod("r", containers=[container("a", "600m")], initContainers=[container("i", "1200m")])
    assert "but limit is 1200m" in await refusal(client, peak)


async def test_the_size_of_claims_is_limited_too_and_when_they_grow(client: Client) -> None:
    item = {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "5Gi"}}
    await client.create(core_v1.LIMIT_RANGE, limit_range(item))

    def claim(size: str) -> dict[str, Any]:
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
        return {"metadata": {"name": "c", "namespace": "default"}, "spec": spec}

    kind = core_v1.PERSISTENT_VOLUME_CLAIM
    with pytest.raises(Forbidden, match="minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 500Mi"):
        await client.create(kind, claim("500Mi"))
    await client.create(kind, claim("5Gi"))
    grown = {"spec": {"resources": {"requests": {"storage": "6Gi"}}}}
    with pytest.raises(Forbidden, match="maximum storage usage per PersistentVolumeClaim is 5Gi, but request is 6Gi"):
        await client.patch(kind, "c", "default", grown)


async def test_limits_that_change_hold_from_then_on(client: Client) -> None:
    await client.create(core_v1.LIMIT_RANGE, limit_range({"type": "Pod", "max": {"cpu": "1"}}))
    assert "maximum cpu" in await refusal(client, sized("p", limits={"cpu": "2"}))
    await client.delete(core_v1.LIMIT_RANGE, "limits", "default")
    await client.create(core_v1.POD, sized("p", limits={"cpu": "2"}))


async def test_an_ingress_without_a_class_gets_the_default_one(client: Client) -> None:
    marked = {"ingressclass.kubernetes.io/is-default-class": "true"}
    for name, noted in (("plain", {}), ("usual", marked)):
        body = {"metadata": {"name": name, "annotations": noted}, "spec": {"controller": "x.io/gate"}}
        await client.create(networking_v1.INGRESS_CLASS, body)
    backend = {"service": {"name": "web", "port": {"number": 80}}}

    async def made(name: str, annotations: dict[str, str], **spec: Any) -> dict[str, Any]:
        body = {"metadata": {"name": name, "namespace": "default", "annotations": annotations},
                "spec": {"defaultBackend": backend, **spec}}  # fmt: skip
        found: dict[str, Any] = await client.create(networking_v1.INGRESS, body)
        return found["spec"]

    assert (await made("a", {}))["ingressClassName"] == "usual"
    assert (await made("b", {}, ingressClassName="plain"))["ingressClassName"] == "plain"
    assert "ingressClassName" not in await made("c", {"kubernetes.io/ingress.class": "old"})
