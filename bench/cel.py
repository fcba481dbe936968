"""How fast policy expressions are compiled and evaluated, beside Google's C++ evaluator in the same run.

    python bench/cel.py [--seconds S]

Each expression runs over a fresh Deployment of two containers, as an admission request brings one: the C++ evaluator
converts what it touches, ours reads plain JSON. `same` is over an object that has been seen before (an activation of
the C++ evaluator made once), `stored` is how long a program takes to come back from a cache. A ratio is theirs by ours.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from typing import Any

import orjson
from cel_expr_python import cel
from cel_expr_python.ext import ext_optional, ext_strings
from private_cluster import machine

from dabbawala.cel.environment import Environment

CONTAINER = {
    "name": "web",
    "image": "registry.example.com/shop/web:1.4.2",
    "ports": [{"containerPort": 8080, "protocol": "TCP"}],
    "env": [{"name": f"SETTING_{number}", "value": "on"} for number in range(8)],
    "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
    "securityContext": {"allowPrivilegeEscalation": False, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]}},
}
DEPLOYMENT = orjson.dumps(
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web", "team": "checkout"}},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [CONTAINER, {**CONTAINER, "name": "sidecar"}], "serviceAccountName": "web"},
            },
        },
    }
)
PODS = "object.spec.template.spec.containers"
EXPRESSIONS = {
    "one field": "object.spec.replicas == 3",
    "has, guarded": "has(object.metadata.labels) && 'team' in object.metadata.labels",
    "all containers": f"{PODS}.all(c, has(c.securityContext) && c.securityContext.allowPrivilegeEscalation == false)",
    "optionals": f"{PODS}.all(c, c.?securityContext.?runAsNonRoot.orValue(false))",
    "nested loops": f"{PODS}.all(c, c.env.all(e, e.name != 'PASSWORD' && !e.value.startsWith('secret')))",
    "offenders": f"{PODS}.filter(c, !c.image.contains(':') || c.image.endsWith(':latest')).map(c, c.name)",
    "message": "'deployment ' + object.metadata.name + ' of ' + object.metadata.namespace + ' has no probe'",
    "pattern": f"{PODS}.all(c, c.image.matches('^registry[.]example[.]com/'))",
    "error absorbed": f"{PODS}.exists(c, c.missing == 1 || c.name == 'web')",
}


def each(act: Callable[[], Any], seconds: float) -> float:
    """Nanoseconds that one call takes: the best of five rounds, because others disturb and nothing helps."""
    act()
    begun, count = time.perf_counter_ns(), 0
    while time.perf_counter_ns() - begun < seconds * 2e8:
        act()
        count += 1
    rounds = []
    for _ in range(5):
        begun = time.perf_counter_ns()
        for _ in range(max(1, count // 5)):
            act()
        rounds.append((time.perf_counter_ns() - begun) / max(1, count // 5))
    return min(rounds)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--seconds", type=float, default=0.5, help="for each measurement")
    seconds = options.parse_args().seconds
    ours = Environment({"object": "dyn"})
    extensions = [ext_optional.ExtOptional(1), ext_strings.ExtStrings(2)]
    theirs = cel.NewEnv(variables={"object": cel.Type.DYN}, extensions=extensions)
    print(machine())
    print(f"{'expression':<16}{'ours ns':>9}{'C++ ns':>9}{'ratio':>7}{'same ns':>9}{'ratio':>7}", end="")
    print(f"{'compile us':>12}{'C++ us':>8}{'stored us':>11}")
    for name, source in EXPRESSIONS.items():
        program, other = ours.compile(source), theirs.compile(source)
        variables = {"object": orjson.loads(DEPLOYMENT)}
        kept = theirs.Activation(data=variables)
        stored = program.dumps()
        mine = each(lambda p=program, v=variables: p.evaluate(v), seconds)
        fresh = each(lambda o=other, v=variables: o.eval(data=v), seconds)
        same = each(lambda o=other, k=kept: o.eval(activation=k), seconds)
        # A comment makes each a new one: what was compiled before is kept.
        numbers = itertools.count()
        compiling = each(lambda s=source, n=numbers: ours.compile(f"{s} // {next(n)}"), seconds) / 1000
        reading = each(lambda s=source: theirs.compile(s), seconds) / 1000
        loading = each(lambda s=stored: ours.load(s), seconds) / 1000
        print(f"{name:<16}{mine:>9.0f}{fresh:>9.0f}{fresh / mine:>7.1f}{same:>9.0f}{same / mine:>7.1f}", end="")
        print(f"{compiling:>12.0f}{reading:>8.0f}{loading:>11.1f}", flush=True)


if __name__ == "__main__":
    main()
