"""Performance: what it can carry, by measurement; and whether there is room for what it may ask."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from dabbawala.api import autoscaling_v2, core_v1, metrics_v1beta1
from dabbawala.apimachinery import clock, meta, quantity
from dabbawala.apimachinery.meta import Object
from dabbawala.readiness import images, measuring
from dabbawala.readiness.evidence import Evidence
from dabbawala.readiness.items.infrastructure import autoscaler, bounds
from dabbawala.readiness.judgement import (
    ATTEST,
    IMPORT,
    MEASURED,
    SAID,
    Category,
    Item,
    Judgement,
    Result,
    failed,
    passed,
    unknown,
    warned,
)
from dabbawala.readiness.observed import Observed, is_recent
from dabbawala.readiness.standing import Doubt, by_evidence, first_that_knows

P95_MILLISECONDS, FAILED_RATIO = 200.0, 0.001
"""What a service must keep where the annotations `p95-milliseconds` and `failed-ratio` say nothing else. Source:
scenario S022."""

MEMORY_SHARE_MAX = Decimal("0.9")
"""How much of its memory limit a container may use before the next peak kills it."""

RESOURCES = ("cpu", "memory")
ROOM = (core_v1.RESOURCE_QUOTA, core_v1.NODE, core_v1.POD)
"""What bounds how many pods there can be."""


def load_testing_completed(observed: Observed, item: Item) -> Judgement:
    """A run that reached its rate within the service's limits, of the images that run now."""
    return by_evidence(observed, item, lambda record: _reached(record) or _of_these_images(observed, record))


def stress_testing_passed(observed: Observed, item: Item) -> Judgement:
    return by_evidence(observed, item, lambda record: _of_these_images(observed, record))


def _reached(record: Evidence) -> Doubt | None:
    wanted, reached = record.number("targetRate"), record.number("achievedRate")
    if wanted is None or reached is None:
        return Result.UNKNOWN, "the record does not say targetRate and achievedRate"
    return (Result.FAIL, f"reached {reached:g} requests/s of {wanted:g}") if reached < wanted else None


def _of_these_images(observed: Observed, record: Evidence) -> Doubt | None:
    tested = {str(subject["hash"]) for subject in record.spec.get("subjects") or ()}
    running = images.running(observed)
    if not tested or not running:
        why = "the record does not say which images were tested (subjects)" if running else "no pod runs"
        return Result.UNKNOWN, f"{why}, so that nobody knows whether it is about what runs now"
    other = [image for digest, image in running.items() if digest not in tested]
    return (Result.WARN, f"{other[0]} runs now, and was not what was tested") if other else None


def capacity_planning_done(observed: Observed, item: Item) -> Judgement:
    """Whether the pods that its autoscaler may ask for have room: in the quota, and on the nodes."""
    scaler = autoscaler(observed)
    if scaler is None:
        unseen = observed.unseen(autoscaling_v2.HORIZONTAL_POD_AUTOSCALER)
        lacking = unknown(unseen or "no autoscaler says how large it may become")
        return first_that_knows([by_evidence(observed, item), lacking])
    most, pod = bounds(scaler)[1], _requests(observed.template)
    if not all(pod.values()):
        return failed("not every container requests CPU and memory, so that nobody can tell what it needs")
    unseen = next((text for kind in ROOM if (text := observed.unseen(kind))), "")
    if unseen:
        return first_that_knows([by_evidence(observed, item), unknown(unseen)])
    for check in (_quota, _nodes):
        short = check(observed, {name: value * most for name, value in pod.items()})
        if short is not None:
            return failed(f"{most} pods do not fit: {short}", observed.proof(scaler))
    nodes = [observed.proof(node) for node in observed.all(core_v1.NODE)]
    return passed(f"{most} pods, the most it may ask for, have room on the nodes and in the quota", *nodes)


def _requests(template: Object) -> dict[str, Decimal]:
    """Of one pod: 0 where a container does not say."""
    containers = (template.get("spec") or {}).get("containers") or ()
    found = {}
    for name in RESOURCES:
        given = [((container.get("resources") or {}).get("requests") or {}).get(name) for container in containers]
        found[name] = sum((quantity.parse(value) for value in given if value), Decimal(0)) if all(given) else Decimal(0)
    return found


def _quota(observed: Observed, needed: dict[str, Decimal]) -> str | None:
    for quota in observed.all(core_v1.RESOURCE_QUOTA):
        hard = (quota.get("spec") or {}).get("hard") or {}
        for name, amount in needed.items():
            allowed = hard.get(f"requests.{name}") or hard.get(name)
            if allowed is not None and quantity.parse(allowed) < amount:
                return f"ResourceQuota {meta.name(quota)} allows {allowed} {name}, and they need {_shown(amount, name)}"
    return None


def _nodes(observed: Observed, needed: dict[str, Decimal]) -> str | None:
    """By sums: what the nodes can give, less what other pods of the namespace have asked for. Pods elsewhere are not
    read, so this is the most that there can be."""
    own = {meta.key(pod) for pod in observed.pods}
    others = [pod for pod in observed.all(core_v1.POD) if meta.key(pod) not in own]
    for name, amount in needed.items():
        free = sum((quantity.parse(_allocatable(node, name)) for node in observed.all(core_v1.NODE)), Decimal(0))
        free -= sum((_requests(pod)[name] for pod in others), Decimal(0))
        if free < amount:
            return f"the nodes have {_shown(free, name)} {name} for them, and they need {_shown(amount, name)}"
    return None


def _allocatable(node: Object, name: str) -> str:
    return str(((node.get("status") or {}).get("allocatable") or {}).get(name) or "0")


def _shown(amount: Decimal, name: str) -> str:
    """As manifests say it: Gi of memory, cores of CPU."""
    return f"{amount / 2**30:.1f}Gi" if name == "memory" else f"{amount.normalize():f}"


def performance_benchmarks_met(observed: Observed, item: Item) -> Judgement:
    """Under the traffic that there is now. Without traffic nothing is shown."""
    try:
        p95_max = observed.target("p95-milliseconds", P95_MILLISECONDS)
        failed_max = observed.target("failed-ratio", FAILED_RATIO)
    except ValueError:
        return unknown("the annotations p95-milliseconds and failed-ratio must be numbers")
    asked = {name: observed.answer(name) for name in (measuring.REQUESTS, measuring.FAILED, measuring.P95)}
    problem = next((found.problem for found in asked.values() if found.problem), "")
    if problem:
        return first_that_knows([by_evidence(observed, item), unknown(f"Prometheus could not be asked: {problem}")])
    rate, bad, p95 = (found.value for found in asked.values())
    if not rate or bad is None or p95 is None:
        quiet = unknown(f"Prometheus has seen no request to it in {measuring.WINDOW}")
        return first_that_knows([by_evidence(observed, item), quiet])
    proofs = [observed.measured(name) for name in asked]
    said = f"P95 {p95:.0f} ms and {bad:.3%} failed at {rate:.0f} requests/s over {measuring.WINDOW}"
    if p95 > p95_max or bad > failed_max:
        return failed(f"{said}; at most {p95_max:.0f} ms and {failed_max:.1%} are allowed", *proofs)
    return passed(said, *proofs)


def auto_scaling_tested(observed: Observed, item: Item) -> Judgement:
    """That it has scaled: the autoscaler's own record of when it last did, or a load test's."""
    scaler = autoscaler(observed)
    scaled = str(((scaler or {}).get("status") or {}).get("lastScaleTime") or "")
    if scaler is not None and scaled and is_recent(observed, clock.parse_time(scaled), timedelta(days=item.days)):
        return passed(f"{scaler['kind']} {meta.name(scaler)} last scaled it at {scaled}", observed.proof(scaler))
    return by_evidence(observed, item)


def resource_limits_optimized(observed: Observed, item: Item) -> Judgement:
    """Requests and limits on every container, and what they really use within them."""
    if observed.workload is None:
        return unknown("there is no workload")
    proof = observed.proof(observed.workload)
    for container in observed.containers:
        given = container.get("resources") or {}
        missing = [f"requests.{name}" for name in RESOURCES if name not in (given.get("requests") or {})]
        missing += [] if "memory" in (given.get("limits") or {}) else ["limits.memory"]
        if missing:
            return failed(f"container {container.get('name')} has no {' and no '.join(missing)}", proof)
    used = [found for found in observed.all(metrics_v1beta1.POD_METRICS) if meta.name(found) in _names(observed.pods)]
    if not used:
        return warned("requests and limits are set, but nobody measures what its pods use", proof)
    worst = max((_memory_share(observed, found) for found in used), default=Decimal(0))
    if worst > MEMORY_SHARE_MAX:
        return failed(f"a container uses {worst:.0%} of its memory limit", proof, observed.proof(used[0]))
    return passed(f"requests and limits are set; at most {worst:.0%} of a memory limit is used", proof)


def _names(objects: list[Object]) -> set[str]:
    return {meta.name(obj) for obj in objects}


def _memory_share(observed: Observed, metrics: Object) -> Decimal:
    limits = {str(item.get("name")): item["resources"]["limits"]["memory"] for item in observed.containers}
    used = {
        str(item.get("name")): str((item.get("usage") or {}).get("memory") or "0") for item in metrics["containers"]
    }
    shares = [quantity.parse(used[name]) / quantity.parse(limit) for name, limit in limits.items() if name in used]
    return max(shares, default=Decimal(0))


CATEGORY = Category("performance", "Performance", (
    Item(
        "load_testing_completed", "It was load-tested", "high", load_testing_completed,
        "signed evidence of a run of the images that run now (subjects; details: targetRate, achievedRate)",
        IMPORT, MEASURED, 90,
    ),
    Item(
        "stress_testing_passed", "It was pushed past its limit", "medium", stress_testing_passed,
        "signed evidence of a run of the images that run now (subjects)",
        IMPORT, MEASURED, 90,
    ),
    Item(
        "capacity_planning_done", "There is room for its peak", "high", capacity_planning_done,
        "the autoscaler's most, times its requests, against quota and nodes",
        ATTEST, SAID, 180,
    ),
    Item(
        "performance_benchmarks_met", "It is fast enough now", "high", performance_benchmarks_met,
        "P95 and failures in Prometheus, under traffic",
        IMPORT, MEASURED, 30,
    ),
    Item(
        "auto_scaling_tested", "It has scaled", "medium", auto_scaling_tested,
        "the autoscaler's own record of its last scaling, or signed evidence of a test",
        IMPORT, MEASURED, 90,
    ),
    Item(
        "resource_limits_optimized", "Its requests and limits fit what it uses", "medium", resource_limits_optimized,
        "requests and limits of every container, and the usage of its pods",
        "kubectl edit {workload} {service} -n {namespace}",
    ),
))  # fmt: skip
