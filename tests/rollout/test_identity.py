"""Which set is a template's: Argo's own hashes, and adoption that no upgrade can break."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from dabbawala.api import pod_defaults
from dabbawala.apimachinery import schema
from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import go_json, identity, keys
from dabbawala.rollout.go_fields import TYPES

VOLUME = "io.k8s.api.core.v1.Volume"
NAME = "abort-retry-promote"
TEMPLATE: Object = {
    "metadata": {"labels": {"app": NAME}},
    "spec": {
        "containers": [
            {
                "name": NAME,
                "image": "nginx:1.19-alpine",
                "resources": {"requests": {"memory": "16Mi", "cpu": "1m"}},
            }
        ]
    },
}


def replica_set(template: Object, hash_: str, **annotations: str) -> Object:
    """As the API server keeps it: defaulted, and labelled with the hash."""
    holder = {"template": deepcopy(template)}
    pod_defaults.template(holder)
    holder["template"]["metadata"].setdefault("labels", {})[keys.HASH] = hash_
    metadata = {"name": f"web-{hash_}", "labels": {keys.HASH: hash_}, "annotations": annotations}
    return {"metadata": metadata, "spec": holder}


def test_the_hash_is_the_one_that_argo_gives_the_same_template() -> None:
    """The value stands in a comment of Argo's functional end-to-end suite, beside this template."""
    assert go_json.hashes(TEMPLATE)[1] == "7fd9b5545c"


def test_a_collision_count_gives_another_hash() -> None:
    assert go_json.hashes(TEMPLATE, 1) != go_json.hashes(TEMPLATE)


def test_the_json_is_written_as_go_writes_it() -> None:
    limits = {"limits": {"cpu": "1000m"}}
    container = {"command": ["a<b&c"], "name": "x", "ports": [], "resources": limits, "tty": False}
    text = go_json.encode({"spec": {"hostNetwork": False, "containers": [container]}, "metadata": {}})
    assert text == (
        '{"metadata":{},"spec":{"containers":[{"name":"x","command":["a\\u003cb\\u0026c"],'
        '"resources":{"limits":{"cpu":"1"}}}]}}'
    )


def test_a_set_is_found_by_the_digest_of_what_it_was_made_from() -> None:
    made = replica_set({"spec": {"containers": []}}, "anything", **{keys.TEMPLATE_DIGEST: identity.digest(TEMPLATE)})
    assert identity.find(TEMPLATE, [made], 0) is made


def test_a_set_of_another_controller_is_adopted_when_its_template_is_the_same_under_any_hash() -> None:
    other = replica_set(TEMPLATE, "5d4f8c7b9")
    assert identity.find(TEMPLATE, [other], 0) is other


def test_a_set_that_only_a_newer_server_has_filled_in_is_found_by_argos_hash() -> None:
    for hash_ in go_json.hashes(TEMPLATE):
        other = replica_set(TEMPLATE, hash_)
        other["spec"]["template"]["spec"]["someFieldOfTheFuture"] = "defaulted"
        assert identity.find(TEMPLATE, [other], 0) is other


def test_injected_metadata_and_anti_affinity_do_not_make_another_revision() -> None:
    body = deepcopy(TEMPLATE)
    body["metadata"]["labels"]["role"] = "canary"
    term = {"labelSelector": {"matchExpressions": [{"key": keys.HASH, "operator": "In", "values": ["old"]}]}}
    body["spec"]["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    made = replica_set(body, "abc", **{keys.EPHEMERAL_METADATA: '{"labels":{"role":"canary"}}'})
    assert identity.find(TEMPLATE, [made], 0) is made


def test_another_template_is_another_revision() -> None:
    other = deepcopy(TEMPLATE)
    other["spec"]["containers"][0]["image"] = "nginx:1.20"
    made = replica_set(other, "abc", **{keys.TEMPLATE_DIGEST: identity.digest(other)})
    assert identity.find(TEMPLATE, [made], 0) is None


def edited(**spec: Any) -> Object:
    """The template with other fields of its pod, and of its container."""
    container = {**TEMPLATE["spec"]["containers"][0], **spec.pop("container", {})}
    return {**TEMPLATE, "spec": {**TEMPLATE["spec"], "containers": [container], **spec}}


def stored(body: Object) -> Object:
    return replica_set(body, "abc", **{keys.TEMPLATE_DIGEST: identity.digest(body)})


CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
TERM = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": NAME}}}
WISHES: dict[str, Object] = {
    "a privilege is taken away": {"container": {"securityContext": {"allowPrivilegeEscalation": False}}},
    "root for one container only": {
        "securityContext": {"runAsNonRoot": True},
        "container": {"securityContext": {"runAsNonRoot": False}},
    },
    "the user root": {"securityContext": {"runAsUser": 0}},
    "no token": {"automountServiceAccountToken": False},
    "users of its own": {"hostUsers": False},
    "no links": {"enableServiceLinks": False},
    "no patience": {"tolerations": [{"key": "slow", "operator": "Exists", "tolerationSeconds": 0}]},
    "a secret that must exist": {"volumes": [{"name": "x", "secret": {"secretName": "x", "optional": False}}]},
    "no time to stop": {"terminationGracePeriodSeconds": 0},
    "no CPU asked for": {"container": {"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": 0}}}},
    "a node label without a value": {"nodeSelector": {"node-role.kubernetes.io/gpu": ""}},
    "a selector of everything": {"topologySpreadConstraints": [{"maxSkew": 1, "labelSelector": {}}]},
    "no storage class": {
        "volumes": [{"name": "x", "ephemeral": {"volumeClaimTemplate": {"spec": {**CLAIM, "storageClassName": ""}}}}]
    },
    "neighbours of every namespace": {
        "affinity": {
            "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{**TERM, "namespaceSelector": {}}]}
        }
    },
}


def without_the_wish(body: Object) -> Object:
    """The same without its empty values: where a field of zero is a wish, its absence is another."""

    def less(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: less(item) for name, item in value.items() if item not in (False, "", {})}
        return [less(item) for item in value] if isinstance(value, list) else value

    result: Object = less(body)
    return result


@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
def test_a_change_to_false_or_to_zero_is_another_revision(wish: Object) -> None:
    after = edited(**wish)
    before = without_the_wish(after)
    assert before != after
    assert identity.find(after, [stored(before)], 0) is None
    assert identity.find(before, [stored(after)], 0) is None


def test_a_label_without_a_value_is_another_revision() -> None:
    labelled = {**TEMPLATE, "metadata": {"labels": {"app": NAME, "spot": ""}}}
    assert identity.find(labelled, [stored(TEMPLATE)], 0) is None


def test_what_a_go_client_never_writes_is_no_change() -> None:
    same = edited(
        hostNetwork=False, hostPID=False, hostIPC=False, hostname="", nodeSelector={}, tolerations=[],
        serviceAccountName="", securityContext={}, affinity=None,
        container={"tty": False, "stdin": False, "stdinOnce": False, "securityContext": {}, "workingDir": ""},
    )  # fmt: skip
    assert identity.find(same, [replica_set(TEMPLATE, "5d4f8c7b9")], 0) is not None
    plain = edited(
        container={
            "ports": [{"containerPort": 80}], "readinessProbe": {"httpGet": {"port": 80}},
            "volumeMounts": [{"name": "x", "mountPath": "/x"}],
        },
        volumes=[{"name": "x", "nfs": {"server": "files", "path": "/"}}, {"name": "y", "rbd": {"image": "y"}}],
    )  # fmt: skip
    spelled = deepcopy(plain)
    container, volumes = spelled["spec"]["containers"][0], spelled["spec"]["volumes"]
    container["ports"][0]["hostPort"] = 0
    container["readinessProbe"]["initialDelaySeconds"] = 0
    for holder in (container["volumeMounts"][0], volumes[0]["nfs"], volumes[1]["rbd"]):
        holder["readOnly"] = False
    assert identity.find(spelled, [stored(plain)], 0) is not None


def test_every_struct_of_a_volume_is_known_field_by_field() -> None:
    """Or a `readOnly: false` that somebody writes out would look like a change."""
    unknown = {
        field.name
        for field in TYPES["Volume"]
        if field.name != "name"
        and {"readOnly", "secretRef"} & schema.builtin(VOLUME).properties[field.name].properties.keys()
        and field.type not in TYPES
    }
    assert unknown == set()


def test_a_hash_that_collides_does_not_make_two_templates_one() -> None:
    other = deepcopy(TEMPLATE)
    other["spec"]["containers"][0]["image"] = "nginx:1.20"
    made = replica_set(other, go_json.hashes(TEMPLATE)[0], **{keys.TEMPLATE_DIGEST: identity.digest(other)})
    assert identity.find(TEMPLATE, [made], 0) is None


def test_the_digest_does_not_depend_on_the_order_of_fields_or_on_what_the_api_adds() -> None:
    turned = {
        "spec": TEMPLATE["spec"],
        "metadata": {"creationTimestamp": None, "labels": TEMPLATE["metadata"]["labels"], "annotations": {}},
    }
    assert identity.digest(turned) == identity.digest(TEMPLATE)
