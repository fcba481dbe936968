"""What kinds of Rollouts there are in the seeded worlds, and what befalls them, by the dice of each."""

from __future__ import annotations

import random
from dataclasses import dataclass

from dabbawala.apimachinery.meta import Object, ObjectKey

KEY = ObjectKey("shop", "web")
ROUTED = ("routed", "subsets")
KINDS = ("blue-green", "basic", *ROUTED)
START = {"stable": 100, "canary": 0}


@dataclass(frozen=True, slots=True)
class Script:
    """What kind of world a seed gives. `kind` is blue-green, basic, routed (by Services)
    or subsets (of a DestinationRule). In a `steady` one nobody changes the
    size and no pod fails by itself, so that every request could be answered."""

    kind: str
    replicas: int
    strategy: Object
    steady: bool
    actions: tuple[str, ...]


def script(dice: random.Random) -> Script:
    kind = dice.choice(KINDS)
    steady = dice.random() < 0.6
    acts = ("version", "version", "back", "promote", "promote", "full", "abort", "retry")
    acts += () if steady else ("scale", "pause")
    return Script(
        kind,
        dice.randint(1, 5),
        blue_green(dice) if kind == "blue-green" else canary(dice, kind),
        steady,
        ("version", *dice.choices(acts, k=dice.randint(1, 6))),
    )


def blue_green(dice: random.Random) -> Object:
    body: Object = {"activeService": "active", "previewService": "preview"}
    if dice.random() < 0.5:
        body["autoPromotionEnabled"] = False
    if dice.random() < 0.4:
        body["previewReplicaCount"] = 1
    if dice.random() < 0.3:
        body["scaleDownDelaySeconds"] = dice.choice((0, 5))
    for field in ("prePromotionAnalysis", "postPromotionAnalysis"):
        if dice.random() < 0.3:
            body[field] = {"templates": [{"templateName": "rate"}]}
    return {"blueGreen": body}


def canary(dice: random.Random, kind: str) -> Object:
    routed = kind in ROUTED
    choices: list[Object] = [
        {"setWeight": dice.choice((5, 20, 50, 75))},
        {"setWeight": dice.choice((20, 40, 100))},
        {"pause": {}},
        {"pause": {"duration": 5}},
        {"analysis": {"templates": [{"templateName": "rate"}]}},
    ]
    if routed:
        choices.append({"setCanaryScale": {"weight": 50}})
    doors = {} if kind == "subsets" else {"canaryService": "canary", "stableService": "stable"}
    body: Object = {
        **doors,
        "steps": dice.choices(choices, k=dice.randint(0, 5)),
        "maxSurge": dice.choice((1, 2, "25%")),
        "maxUnavailable": dice.choice((0, 0, 1, "25%")),
    }
    if dice.random() < 0.3:
        body["analysis"] = {"templates": [{"templateName": "rate"}]}
    if routed:
        istio: Object = {"virtualService": {"name": "web"}}
        if kind == "subsets":
            names = {"canarySubsetName": "canary", "stableSubsetName": "stable"}
            istio["destinationRule"] = {"name": "web", **names}
        body["trafficRouting"] = {"istio": istio}
        if dice.random() < 0.3:
            body["dynamicStableScale"] = True
        if dice.random() < 0.3:
            body["abortScaleDownDelaySeconds"] = dice.choice((0, 5))
    return {"canary": body}


def rollout(of: Script) -> Object:
    return {
        "metadata": {"name": KEY.name, "namespace": KEY.namespace},
        "spec": {
            "replicas": of.replicas,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": of.strategy,
            "template": template(0),
        },
    }


def template(version: int) -> Object:
    return {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": f"web:{version}"}]},
    }


def route(kind: str) -> Object:
    sides = [{"destination": _destination(kind, side), "weight": weight} for side, weight in START.items()]
    return {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"hosts": ["web"], "http": [{"route": sides}]}}


def _destination(kind: str, side: str) -> Object:
    return {"host": "web", "subset": side} if kind == "subsets" else {"host": side}


def destination_rule() -> Object:
    subsets = [{"name": side, "labels": {"app": "web"}} for side in START]
    return {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"host": "web", "subsets": subsets}}


def analysis_template() -> Object:
    metric = {"name": "rate", "provider": {"prometheus": {"query": "up"}}}
    return {"metadata": {"name": "rate", "namespace": "shop"}, "spec": {"metrics": [metric]}}
