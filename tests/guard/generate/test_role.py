"""A role of an audit log: what counts as used, how rules are merged, and the laws that hold for every log."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dabbawala.apimachinery.meta import Object
from dabbawala.guard.generate import audit_log, role
from dabbawala.guard.generate.audit_log import Asked
from dabbawala.guard.generate.writing import render
from dabbawala.policy import rbac
from dabbawala.policy.access import User, service_account
from dabbawala.policy.rbac import Policy, Rule
from tests.guard.generate.running import compare, generated, objects, run

ANN = User("ann@example.com")
BOT = service_account("shop", "deployer")


def event(verb: str, path: str, *, user: User = BOT, allowed: bool | None = True, **change: Any) -> Object:
    """`path` is `namespace/resource.group/name/subresource` (`-` for no namespace), or `/a/path`."""
    found: Object = {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "stage": "ResponseComplete",
        "auditID": "1", "verb": verb, "requestURI": f"{path}?limit=1", "user": {"username": user.name},
        "responseStatus": {"code": 200}, "annotations": {},
    }  # fmt: skip
    if allowed is not None:
        found["annotations"]["authorization.k8s.io/decision"] = "allow" if allowed else "forbid"
    if not path.startswith("/"):
        home, what, name, subresource = (*path.split("/"), "", "")[:4]
        resource, _, group = what.partition(".")
        parts = {
            "namespace": home.strip("-"),
            "resource": resource,
            "apiGroup": group,
            "name": name,
            "subresource": subresource,
        }
        found["objectRef"] = {key: value for key, value in parts.items() if value}
    return {**found, **change}


def lines(*events: Object) -> list[bytes]:
    return [orjson.dumps(each) + b"\n" for each in events]


def requests(*events: Object, user: User = BOT) -> Counter[Asked]:
    return audit_log.read("log", lines(*events), user).requests


def wanted(verb: str, resource: str, **rest: str) -> Asked:
    return Asked(verb, resource=resource, **rest)


SHOP = (
    event("get", "shop/deployments.apps/web"),
    event("patch", "shop/deployments.apps/web"),
    event("get", "shop/deployments.apps/web"),
    event("list", "shop/pods"),
    event("watch", "shop/pods"),
    event("list", "shop/services"),
    event("watch", "shop/services"),
    event("create", "shop/pods/web-1/exec"),
    event("create", "shop/configmaps/settings"),
    event("get", "shop/secrets/token", allowed=False),
    event("get", "-/nodes/n1"),
    event("get", "/version"),
    event("get", "/healthz"),
    event("list", "shop/secrets", user=ANN),
)


def test_the_role_of_a_log_is_the_one_that_is_expected(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b"".join(lines(*SHOP)))
    compare("role-shop", generated("role", "--audit-log", str(log), "--serviceaccount", "shop/deployer"))


def test_what_was_refused_and_what_others_did_gives_no_right(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b"".join(lines(*SHOP)))
    result = run("role", "--audit-log", str(log), "--serviceaccount", "shop/deployer")
    assert result.exit_code == 0
    assert "refused to system:serviceaccount:shop:deployer: 1 request; the role does not allow that" in result.stderr
    assert all(
        "secrets" not in rule.get("resources", ()) for obj in objects(result.stdout) for rule in obj.get("rules", ())
    )


def test_the_role_is_bound_to_who_asked_and_nobody_else() -> None:
    found = objects(render(role.plan(requests(*SHOP), BOT.name, "used")))
    assert [obj["kind"] for obj in found] == ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]
    account = {"kind": "ServiceAccount", "name": "deployer", "namespace": "shop"}
    assert all(obj["subjects"] == [account] for obj in found if "subjects" in obj)


def test_what_is_created_is_not_limited_to_the_names_that_it_got() -> None:
    assert set(requests(event("create", "shop/configmaps/a"))) == {wanted("create", "configmaps", namespace="shop")}
    named = wanted("create", "pods", namespace="shop", name="web", subresource="exec")
    assert set(requests(event("create", "shop/pods/web/exec"))) == {named}


def test_who_writes_what_was_not_there_needs_to_create_it() -> None:
    made = event("patch", "shop/configmaps/a", responseStatus={"code": 201})
    patch = wanted("patch", "configmaps", namespace="shop", name="a")
    assert set(requests(made)) == {patch, wanted("create", "configmaps", namespace="shop")}


def test_a_log_without_decisions_tells_by_the_status() -> None:
    entries = [
        event("get", "shop/pods/a", allowed=None),
        event("get", "shop/pods/b", allowed=None, responseStatus={"code": 403}),
        event("get", "shop/pods/c", allowed=None, responseStatus={"code": 404}),
    ]  # fmt: skip
    assert {found.name for found in requests(*entries)} == {"a", "c"}


def test_a_request_that_has_only_been_received_does_not_count() -> None:
    assert not requests(event("get", "shop/pods/a", allowed=None, stage="RequestReceived"))


def test_a_watch_that_begins_and_ends_counts_once_and_one_that_never_ends_too() -> None:
    started, ended = (
        event("watch", "shop/pods", auditID="7", stage=s) for s in ("ResponseStarted", "ResponseComplete")
    )
    open_ended = event("watch", "shop/pods", auditID="8", stage="ResponseStarted")
    assert list(requests(started, ended, open_ended).values()) == [2]


def test_who_acts_as_another_needs_that_and_the_other_what_was_done() -> None:
    acted = event("get", "shop/pods/a", user=ANN, impersonatedUser={"username": BOT.name, "groups": list(BOT.groups)})
    assert set(requests(acted, user=ANN)) == {
        wanted("impersonate", "serviceaccounts", namespace="shop", name="deployer")
    }
    assert set(requests(acted)) == {wanted("get", "pods", namespace="shop", name="a")}


def test_an_event_list_is_read_as_its_events() -> None:
    listed = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": list(SHOP[:2])}
    assert audit_log.read("log", lines(listed), BOT).events == 2


def test_a_log_that_lacks_events_says_so(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b"".join(lines(SHOP[0], {"kind": "Dropped", "apiVersion": "audit.k8s.io/v1", "count": 1200})))
    result = run("role", "--audit-log", str(log), "--serviceaccount", "shop:deployer")
    assert result.exit_code == 0
    assert "lacks 1,200 events" in result.stderr


def test_few_objects_are_named_and_many_are_not() -> None:
    few = [event("get", f"shop/secrets/s{number}") for number in range(3)]
    many = [event("get", f"shop/configmaps/c{number}") for number in range(9)]
    (found,) = (piece.object for piece in role.plan(requests(*few, *many), BOT.name, "used", bind=False))
    assert found["rules"] == [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["s0", "s1", "s2"], "verbs": ["get"]},
    ]
    (found,) = (piece.object for piece in role.plan(requests(*few), BOT.name, "used", names_max=0, bind=False))
    assert found["rules"] == [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]


# Laws

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "bind")
attributes = st.one_of(
    st.builds(
        lambda *parts: Asked(*parts),
        st.sampled_from(VERBS),
        st.sampled_from(("", "apps")),
        st.sampled_from(("pods", "things", "nodes")),
        st.sampled_from(("", "", "status", "log")),
        st.sampled_from(("", "shop", "edge")),
        st.sampled_from(("", "a", "b", "c")),
    ),
    st.builds(
        lambda verb, path: Asked(verb, path=path),
        st.sampled_from(("get", "post")),
        st.sampled_from(("/version", "/healthz", "/apis/x")),
    ),
)
logs = st.dictionaries(attributes, st.integers(1, 9), max_size=24)
limits = st.integers(0, 3)


def rules_in(found: list[Object]) -> list[tuple[int, int]]:
    return [(at, number) for at, obj in enumerate(found) for number in range(len(obj.get("rules", ())))]


def without(found: list[Object], at: int, number: int) -> list[Object]:
    rules = found[at]["rules"]
    return [*found[:at], {**found[at], "rules": [*rules[:number], *rules[number + 1 :]]}, *found[at + 1 :]]


@settings(max_examples=60)
@given(logs, limits)
@example({Asked("get", resource="pods"): 1, Asked("get", resource="pods", namespace="shop"): 1}, 0)
@example({Asked("get", resource="pods", name="a"): 1, Asked("get", resource="pods", namespace="shop", name="a"): 1}, 3)
def test_every_request_is_allowed_and_without_any_rule_one_is_not(log: dict[Asked, int], names_max: int) -> None:
    pieces = role.plan(log, BOT.name, "used", names_max=names_max)
    found = [piece.object for piece in pieces]
    assert not role.unproved(log, BOT, pieces)
    for at, number in rules_in(found):
        less = Policy.of(without(found, at, number))
        assert any(not less.allows(request.by(BOT)) for request in log)


@settings(max_examples=60)
@given(logs, limits)
def test_nothing_is_allowed_that_nobody_asked_for(log: dict[Asked, int], names_max: int) -> None:
    """But for the other objects of a resource of which more were asked for than are named."""
    for piece in role.plan(log, BOT.name, "used", names_max=names_max, bind=False):
        home = piece.object["metadata"].get("namespace", "")
        for rule in map(Rule.of, piece.object["rules"]):
            for part in rbac._parts(rule):
                asked = [request for request in log if request.namespace == home and asks(request, part)]
                assert asked
                named = {request.name for request in asked}
                assert part.names or part.paths or "" in named or len(named) > names_max
                assert not part.names or part.names <= named


def asks(request: Asked, part: Rule) -> bool:
    if part.paths or request.path:
        return request.verb in part.verbs and request.path in part.paths
    resource = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
    return request.verb in part.verbs and request.group in part.groups and resource in part.resources


@settings(max_examples=30)
@given(logs)
def test_the_order_of_the_log_does_not_matter_and_what_is_written_is_what_was_planned(log: dict[Asked, int]) -> None:
    pieces = role.plan(log, BOT.name, "used")
    turned = dict(reversed(log.items()))
    assert render(pieces) == render(role.plan(turned, BOT.name, "used"))
    assert [found for found in yaml.safe_load_all(render(pieces)) if found] == [piece.object for piece in pieces]


# Logs that are wrong


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"nonsense", "the line is no JSON"),
        (b"7", "no JSON object"),
        (b'{"kind": "Pod"}', "is no audit Event"),
        (b'{"kind": "Event"}', "has no user"),
        (b'{"kind": "Event", "user": {"username": "a"}}', "has no verb"),
        (b'{"kind": "Event", "user": "ann", "verb": "get", "requestURI": "/"}', "user is str, not dict"),
        (b'{"kind": "Dropped"}', "has no count"),
        (b'{"kind": "EventList", "items": [3]}', "is no audit Event"),
        (b'{"kind": "Event", "user": {}, "verb": "get"', "the line is no JSON"),
        (b"[" * 100_000, "the line is no JSON"),
        (b" " * 5_000_000, "longer than"),
    ],
)
def test_a_log_that_is_wrong_is_refused_with_its_line(line: bytes, said: str, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b"".join([*lines(SHOP[0]), line]))
    result = run("role", "--audit-log", str(log), "--user", "ann")
    assert result.exit_code == 2
    assert f"{log}:2:1: " in result.output
    assert said in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "broken",
    [
        {"user": {"username": []}}, {"objectRef": {"resource": 3, "name": []}}, {"responseStatus": {"code": "x"}},
        {"impersonatedUser": {"groups": 3}},
    ],
)  # fmt: skip
def test_odd_values_in_an_event_do_not_stop_the_rest(broken: Object, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b"".join(lines({**event("get", "shop/pods/a"), **broken}, event("get", "shop/pods/b"))))
    result = run("role", "--audit-log", str(log), "--serviceaccount", "shop/deployer")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("arguments", [(), ("--user", "a", "--serviceaccount", "b/c"), ("--serviceaccount", "b")])
def test_whose_role_it_is_must_be_said(arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert run("role", "--audit-log", "x", *arguments).exit_code == 2


def test_a_log_without_a_request_of_the_user_gives_nothing_and_says_so(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b"".join(lines(*SHOP)))
    result = run("role", "--audit-log", str(log), "--user", "bob")
    assert result.exit_code == 1
    assert "no request of bob" in result.output
    assert run("role", "--audit-log", str(tmp_path / "gone"), "--user", "bob").exit_code == 2
