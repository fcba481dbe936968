"""What the tests of rollouts start from: Rollouts, Services and routes in their smallest form."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from dabbawala.api import apps_v1, argoproj_v1alpha1, core_v1, istio_networking_v1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.rollout.rehearsal import START, Rehearsal
from dabbawala.rollout.stage import Stage

SPACE = "shop"


def template(version: int) -> Object:
    return {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": f"shop/web:{version}"}]},
    }


def rollout(strategy: Object, *, replicas: int = 10, version: int = 1, **spec: Any) -> Object:
    body = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template(version)}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "web", "namespace": SPACE, "uid": "uid-web"},
        "spec": {**body, "strategy": strategy, **spec},
    }


def service(name: str) -> tuple[Kind, Object]:
    return core_v1.SERVICE, {"metadata": {"name": name, "namespace": SPACE}, "spec": {"selector": {"app": "web"}}}


def route(*, subsets: bool = False) -> tuple[Kind, Object]:
    sides: list[Object] = [
        {"destination": {"host": "web", "subset": "stable"} if subsets else {"host": "stable"}, "weight": 100},
        {"destination": {"host": "web", "subset": "canary"} if subsets else {"host": "canary"}, "weight": 0},
    ]
    spec = {"hosts": ["web"], "http": [{"name": "primary", "route": sides}]}
    return istio_networking_v1.VIRTUAL_SERVICE, {"metadata": {"name": "web", "namespace": SPACE}, "spec": spec}


def destination_rule() -> tuple[Kind, Object]:
    spec = {"host": "web", "subsets": [{"name": side, "labels": {"app": "web"}} for side in ("canary", "stable")]}
    return istio_networking_v1.DESTINATION_RULE, {"metadata": {"name": "web", "namespace": SPACE}, "spec": spec}


def analysis_template(name: str, *, count: int = 5, interval: str = "60s", **metric: Any) -> tuple[Kind, Object]:
    made = {
        "name": f"{name}-metric" if name != "rate" else "success-rate",
        "interval": interval,
        "count": count,
        "successCondition": "result[0] >= 0.95",
        "provider": {"prometheus": {"query": "up"}},
        **metric,
    }
    spec = {"metrics": [made]}
    return argoproj_v1alpha1.ANALYSIS_TEMPLATE, {"metadata": {"name": name, "namespace": SPACE}, "spec": spec}


def canary(*steps: Object, routed: bool = False, **more: Any) -> Object:
    body: Object = {"steps": list(steps), **more}
    if routed:
        body |= {
            "canaryService": "canary",
            "stableService": "stable",
            "trafficRouting": {"istio": {"virtualService": {"name": "web", "routes": ["primary"]}}},
        }
    return {"canary": body}


def blue_green(**more: Any) -> Object:
    return {"blueGreen": {"activeService": "active", "previewService": "preview", **more}}


DOORS = tuple(service(name) for name in ("active", "preview", "stable", "canary"))


def healthy(
    body: Object, *others: tuple[Kind, Object], pod_seconds: float = 10, failing: tuple[str, ...] = ()
) -> Rehearsal:
    """A Rollout that has reached its first revision on a small cluster with all the Services, and its recorded events
    dropped."""
    stage = Stage(START, pod_seconds=pod_seconds, failing=frozenset(failing))
    show = Rehearsal(body, (*DOORS, route(), *others), stage=stage)
    show.play()
    assert show.rollout["status"]["phase"] == "Healthy", show.rollout["status"]
    stage.events.clear()
    show.moments.clear()
    show.restart_clock()
    return show


def update(show: Rehearsal, version: int = 2) -> None:
    """A user changes the image."""
    spec = deepcopy(show.rollout["spec"])
    spec["template"] = template(version)
    show.edit(spec=spec)


def change_status(show: Rehearsal, **fields: Any) -> None:
    """A user patches the status, as the plugin does; None removes a field."""
    status = {**show.rollout["status"], **fields}
    show.edit(status={name: value for name, value in status.items() if value is not None})


def promote(show: Rehearsal) -> None:
    change_status(show, pauseConditions=None)


def phase(show: Rehearsal) -> tuple[str, str]:
    status = show.rollout["status"]
    return status.get("phase", ""), status.get("message", "")


def events(show: Rehearsal) -> list[str]:
    return [event.reason for event in show.stage.events]


def pods(show: Rehearsal) -> dict[int, int]:
    """Revision -> pods asked for."""
    found = show.stage.all(apps_v1.REPLICA_SET)
    return {
        int(item["metadata"]["annotations"]["rollout.argoproj.io/revision"]): int(item["spec"]["replicas"])
        for item in found
    }


def selector(show: Rehearsal, name: str) -> str:
    """The revision that a Service selects, as a hash."""
    found = show.stage.get(core_v1.SERVICE, ObjectKey(SPACE, name))
    assert found is not None
    return str(found["spec"]["selector"].get("rollouts-pod-template-hash", ""))


def hash_of(show: Rehearsal, revision: int) -> str:
    for item in show.stage.all(apps_v1.REPLICA_SET):
        if item["metadata"]["annotations"]["rollout.argoproj.io/revision"] == str(revision):
            return str(item["metadata"]["labels"]["rollouts-pod-template-hash"])
    raise AssertionError(f"no revision {revision}")
