"""The deployment guide of one service, in Markdown, from what its cluster really contains. Source: scenario S022.

Seven parts, then the way back, whom to call, and what success is. What is not there is said, with the command that
would bring it; nothing is printed that nobody has seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from dabbawala.api import (
    admissionregistration_v1,
    argoproj_v1alpha1,
    core_v1,
    networking_v1,
    policy_v1,
    rbac_v1,
)
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import clock, meta
from dabbawala.apimachinery.meta import Object
from dabbawala.readiness import contacts, exposure, images, measuring, releases
from dabbawala.readiness.assessment import Assessment
from dabbawala.readiness.catalogue import ITEMS, by_id
from dabbawala.readiness.items.infrastructure import autoscaler, bounds
from dabbawala.readiness.items.performance import FAILED_RATIO, P95_MILLISECONDS
from dabbawala.readiness.judgement import Result
from dabbawala.readiness.observed import Observed
from dabbawala.readiness.sources import SCHEDULE, SERVICE_MONITOR

MESH_LABELS = ("istio.io/rev", "istio-injection", "topology.istio.io/network")
REVISIONS_SHOWN = 5


_Lines = Callable[[Observed], Iterator[str]]


def render(observed: Observed, found: Assessment) -> str:
    parts: tuple[tuple[str, _Lines, tuple[str, ...]], ...] = (
        ("1. Infrastructure", _infrastructure, ("network_policies_applied", "capacity_planning_done")),
        ("2. Security", _security, ("ssl_certificates_valid", "rbac_configured", "secrets_encrypted")),
        ("3. Monitoring", _monitoring, (
            "prometheus_metrics_configured", "grafana_dashboards_created", "alerting_rules_defined",
            "log_aggregation_setup")),
        ("4. Backup", _backup, ("automated_backup_configured", "backup_restoration_tested")),
        ("5. Load test", _load_test, ("load_testing_completed", "auto_scaling_tested")),
        ("6. Execution", _execution, ("load_balancer_health_checks",)),
        ("7. After the deployment", _afterwards, ("performance_benchmarks_met",)),
        ("Rollback", _rollback, ("rollback_procedures_verified",)),
        ("Contacts", _contacts, ()),
        ("Success criteria", _success, ()),
    )  # fmt: skip
    told = [_part(title, lines(observed), found, items) for title, lines, items in parts]
    return "\n\n".join("\n".join(part) for part in (_head(observed, found), *told)) + "\n"


def _head(observed: Observed, found: Assessment) -> Iterator[str]:
    yield f"# Deployment guide: {observed.service}"
    yield ""
    yield (
        f"{found.workload} `{observed.namespace}/{meta.name(observed.workload or {})}`, as the cluster had it on "
        f"{clock.format_time(observed.now)}. Readiness then: **{found.verdict.word}**, {found.verdict.passed} of "
        f"{len(ITEMS)} items."
    )


def _part(title: str, lines: Iterable[str], found: Assessment, items: Iterable[str]) -> Iterator[str]:
    """What there is, and of the items that belong here on what they pass, or why they do not."""
    yield f"## {title}"
    yield ""
    yield from lines
    for name in items:
        said = found.results[name]
        if said.result is not Result.PASS:
            yield f"- **{said.result}**, {name}: {said.message}. `{found.remedy(by_id()[name])}`"
        else:
            yield f"- {by_id()[name].title}: {said.message}"


def _named(observed: Observed, kind: Kind, what: str, objects: Iterable[Object] | None = None) -> str:
    """One line about the objects of a kind."""
    unseen = observed.unseen(kind)
    if unseen:
        return f"- {what}: not known, because {unseen}"
    names = [f"`{meta.name(obj)}`" for obj in (observed.all(kind) if objects is None else objects)]
    return f"- {what}: {', '.join(names) or 'none'}"


def _infrastructure(observed: Observed) -> Iterator[str]:
    labels = ", ".join(f"`{name}={value}`" for name, value in sorted(meta.labels(observed.home).items()))
    yield f"- Namespace `{observed.namespace}`{', labels ' + labels if labels else ''}"
    yield _named(observed, core_v1.RESOURCE_QUOTA, "Quotas")
    yield _named(observed, networking_v1.NETWORK_POLICY, "Network policies")
    yield _named(observed, policy_v1.POD_DISRUPTION_BUDGET, "Disruption budgets")
    mesh = {name: value for name, value in meta.labels(observed.home).items() if name in MESH_LABELS}
    sidecars = [str(item.get("name")) for item in observed.containers if item.get("name") == "istio-proxy"]
    said = ", ".join(f"`{name}={value}`" for name, value in sorted(mesh.items()))
    sidecar = "injected" if sidecars else "not in the template"
    yield f"- Mesh: {said or 'the namespace has no label of a mesh'}; sidecar {sidecar}"
    yield f"- Apply the manifests: `kubectl apply -n {observed.namespace} -f MANIFESTS`"


def _security(observed: Observed) -> Iterator[str]:
    for door in exposure.doors(observed):
        secured = f"Secret `{door.secret}`" if door.secret else "no certificate"
        yield f"- Ingress `{meta.name(door.ingress)}` serves {', '.join(door.hosts) or 'all hosts'} with {secured}"
    for service in exposure.bare_services(observed):
        yield f"- Service `{meta.name(service)}` is open by itself ({service['spec']['type']})"
    account = (observed.template.get("spec") or {}).get("serviceAccountName") or "default"
    yield f"- ServiceAccount `{account}`"
    own = [item for item in observed.all(rbac_v1.ROLE_BINDING) if meta.namespace(item) == observed.namespace]
    yield _named(observed, rbac_v1.ROLE_BINDING, "Role bindings of the namespace", own)
    secrets = [item for item in observed.all(core_v1.SECRET) if "service-account" not in str(item.get("type"))]
    yield _named(observed, core_v1.SECRET, "Secrets", secrets)
    level = meta.labels(observed.home).get("pod-security.kubernetes.io/enforce", "none")
    yield f"- Pod Security enforced: {level}"
    yield _named(observed, admissionregistration_v1.VALIDATING_ADMISSION_POLICY_BINDING, "Admission policies bound")
    yield "- Before applying: `dabba guard scan MANIFESTS`"


def _monitoring(observed: Observed) -> Iterator[str]:
    scraped = observed.answer(measuring.SCRAPED)
    yield f"- Prometheus scrapes {scraped.value:g} pods" if scraped.value else "- Prometheus has no sample of its pods"
    yield _named(observed, SERVICE_MONITOR, "ServiceMonitors")
    boards = [obj for obj in observed.all(core_v1.CONFIG_MAP) if observed.service in str(obj.get("data"))]
    yield _named(observed, core_v1.CONFIG_MAP, "Dashboards", boards)
    templates = observed.all(argoproj_v1alpha1.ANALYSIS_TEMPLATE)
    yield _named(observed, argoproj_v1alpha1.ANALYSIS_TEMPLATE, "Analyses that judge its releases", templates)


def _backup(observed: Observed) -> Iterator[str]:
    claims = [f"`{meta.name(obj)}`" for obj in observed.all(core_v1.PERSISTENT_VOLUME_CLAIM)]
    yield f"- Volumes with data: {', '.join(claims) or 'none'}"
    yield _named(observed, SCHEDULE, "Backup schedules")


def _load_test(observed: Observed) -> Iterator[str]:
    scaler = autoscaler(observed)
    if scaler is None:
        yield "- No autoscaler: its size stays as it is under load"
        return
    low, high = bounds(scaler)
    yield f"- {scaler['kind']} `{meta.name(scaler)}`: {low} to {high} replicas"
    yield f"- Watch it while the test runs: `kubectl get hpa {meta.name(scaler)} -n {observed.namespace} --watch`"


def _execution(observed: Observed) -> Iterator[str]:
    name, namespace = meta.name(observed.workload or {}), observed.namespace
    for digest, image in images.running(observed).items():
        yield f"- Runs now: `{image}`{f' ({digest[:19]}…)' if digest != image else ''}"
    first = str((observed.containers or [{}])[0].get("name", "CONTAINER"))
    if (observed.workload or {}).get("kind") == argoproj_v1alpha1.ROLLOUT.kind:
        yield f"- Release: `dabba rollout set-image {name} {first}=IMAGE:TAG -n {namespace}`"
        yield f"- Watch it: `dabba rollout watch {name} -n {namespace}`"
    else:
        kind = str((observed.workload or {}).get("kind")).lower()
        yield f"- Release: `kubectl set image {kind}/{name} {first}=IMAGE:TAG -n {namespace}`"
        yield f"- Watch it: `kubectl rollout status {kind}/{name} -n {namespace}`"
    yield f"- Pods: {len(observed.ready_pods)} of {len(observed.pods)} are ready"
    for service in observed.services:
        ports = ", ".join(str(port.get("port")) for port in (service.get("spec") or {}).get("ports") or ())
        yield f"- Service `{meta.name(service)}`, ports {ports}"


def _afterwards(observed: Observed) -> Iterator[str]:
    for container in observed.containers:
        probe = ((container.get("readinessProbe") or {}).get("httpGet") or {}).get("path")
        if probe:
            yield f"- Smoke test: `GET {probe}` of container `{container.get('name')}` answers 200"
    yield f"- Check again: `dabba readiness check {observed.service} -n {observed.namespace}`"
    yield f"- Logs: `kubectl logs -n {observed.namespace} -l {_selector(observed)} --since=10m`"


def _selector(observed: Observed) -> str:
    spec = (observed.workload or {}).get("spec") or {}
    chosen = (spec.get("selector") or {}).get("matchLabels") or {}
    return ",".join(f"{name}={value}" for name, value in sorted(chosen.items())) or "app=NAME"


def _rollback(observed: Observed) -> Iterator[str]:
    name, namespace = meta.name(observed.workload or {}), observed.namespace
    if (observed.workload or {}).get("kind") == argoproj_v1alpha1.ROLLOUT.kind:
        yield f"- During a release: `dabba rollout abort {name} -n {namespace}`"
        yield f"- After it: `dabba rollout undo {name} -n {namespace}`"
    else:
        kind = str((observed.workload or {}).get("kind")).lower()
        yield f"- `kubectl rollout undo {kind}/{name} -n {namespace}`"
    for revision in releases.revisions(observed)[:REVISIONS_SHOWN]:
        containers = (((revision.object.get("spec") or {}).get("template") or {}).get("spec") or {}).get(
            "containers"
        ) or ()
        used = ", ".join(str(item.get("image")) for item in containers)
        yield f"- Revision {revision.number}: {used}"


def _contacts(observed: Observed) -> Iterator[str]:
    given = contacts.of(observed)
    for role, title in contacts.ROLES.items():
        yield f"- {title}: {given.get(role) or f'**missing** (annotation `readiness.dabbawala.dev/contact-{role}`)'}"


def _success(observed: Observed) -> Iterator[str]:
    try:
        p95, ratio = (
            observed.target("p95-milliseconds", P95_MILLISECONDS),
            observed.target("failed-ratio", FAILED_RATIO),
        )
        yield f"- P95 below {p95:g} ms, and less than {ratio:.2%} of requests fail"
    except ValueError:
        yield "- P95 and failures: **not known** (the annotations p95-milliseconds and failed-ratio must be numbers)"
    yield "- No alert fires, the backup of the day is there, no check of the scan fails, all critical items pass"
