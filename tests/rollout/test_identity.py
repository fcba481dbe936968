"""Which set is a template's: Argo's own hashes, and adoption that no upgrade can break."""

from __future__ import annotations

from copy import deepcopy

from dabbawala.api import pod_defaults
from dabbawala.apimachinery.meta import Object
from dabbawala.rollout import go_json, identity, keys

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
