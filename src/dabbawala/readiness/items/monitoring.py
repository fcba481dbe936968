"""Monitoring: whether anybody would notice. What is configured counts as little; what arrives counts."""

from __future__ import annotations

import re
from collections.abc import Iterator

import orjson

from dabbawala.api import apps_v1, argoproj_v1alpha1, core_v1
from dabbawala.apimachinery import clock, meta, selectors
from dabbawala.apimachinery.meta import Object
from dabbawala.readiness import canonical, measuring
from dabbawala.readiness.judgement import (
    IMPORT,
    MEASURED,
    PROMETHEUS,
    PROPOSE,
    Category,
    Item,
    Judgement,
    Proof,
    failed,
    passed,
    unknown,
    warned,
)
from dabbawala.readiness.observed import Observed
from dabbawala.readiness.sources import DASHBOARD, DASHBOARD_LABEL, POD_MONITOR, PROMETHEUS_RULE, SERVICE_MONITOR
from dabbawala.readiness.standing import by_evidence, first_that_knows

SHIPPERS = ("fluent-bit", "fluentd", "vector", "promtail", "filebeat", "alloy", "opentelemetry-collector", "otelcol")
"""Programs that carry logs away from nodes, as their images are called."""

TRACING = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "JAEGER_AGENT_HOST", "JAEGER_ENDPOINT")
INJECTED = "instrumentation.opentelemetry.io/inject-"
CONDITIONS = ("successCondition", "failureCondition", "consecutiveSuccessLimit", "consecutiveErrorLimit")
_LATENCY = re.compile(r"histogram_quantile|duration|latency")
_WORD = r"(?<![A-Za-z0-9_-]){}(?![A-Za-z0-9_]|-[A-Za-z0-9])"
_NAMESPACES = re.compile(r"""namespace=~?[\\]*["']([^"'\\]*)""")
_SUCCESS = re.compile(r"5\.\.|status|response_code|success|error")


def prometheus_metrics_configured(observed: Observed, item: Item) -> Judgement:
    """That Prometheus has fetched its pods' pages, and not that somebody has asked it to."""
    answer = observed.answer(measuring.SCRAPED)
    asked = _asks_for_scraping(observed)
    if answer.value:
        proof = observed.measured(measuring.SCRAPED)
        pods = len(observed.ready_pods)
        if answer.value < pods:
            return warned(f"Prometheus scrapes {answer.value:g} of {pods} ready pods", proof)
        return passed(f"Prometheus scrapes {answer.value:g} pods", proof)
    if asked is None and not answer.problem:
        return failed("nothing asks Prometheus to scrape its pods, and it does not")
    if answer.problem:
        return unknown(f"Prometheus could not be asked: {answer.problem}")
    return failed("it asks to be scraped, but Prometheus has no sample of its pods", *([asked] if asked else []))


def _asks_for_scraping(observed: Observed) -> Proof | None:
    if meta.annotations(observed.template).get("prometheus.io/scrape") == "true" and observed.workload is not None:
        return observed.proof(observed.workload)
    labels = meta.labels(observed.template)
    for monitor in observed.all(POD_MONITOR):
        if selectors.from_label_selector((monitor.get("spec") or {}).get("selector") or {}).matches(labels):
            return observed.proof(monitor)
    for monitor in observed.all(SERVICE_MONITOR):
        chosen = selectors.from_label_selector((monitor.get("spec") or {}).get("selector") or {})
        if any(chosen.matches(meta.labels(service)) for service in observed.services):
            return observed.proof(monitor)
    return None


def grafana_dashboards_created(observed: Observed, item: Item) -> Judgement:
    found = list(_dashboards(observed))
    about = [(obj, board) for obj, board in found if _speaks_of(observed, orjson.dumps(board).decode())]
    for obj, board in about:
        if panels := sum(1 for panel in _panels(board) if panel.get("targets")):
            title = board.get("title") or meta.name(obj)
            return passed(f"dashboard {title!r} shows it in {panels} panels", observed.proof(obj))
    if about:
        return failed("its dashboard has no panel that asks for anything", observed.proof(about[0][0]))
    seen = by_evidence(observed, item)
    if found and seen.result == "unknown":
        return failed(f"none of {len(found)} dashboards in the cluster shows it")
    return seen


def _dashboards(observed: Observed) -> Iterator[tuple[Object, Object]]:
    """Dashboards that can be read, and the object that holds each."""
    texts = [
        (obj, text)
        for obj in observed.all(core_v1.CONFIG_MAP)
        if DASHBOARD_LABEL in meta.labels(obj)
        for text in (obj.get("data") or {}).values()
    ]
    texts += [(obj, str((obj.get("spec") or {}).get("json") or "")) for obj in observed.all(DASHBOARD)]
    for obj, text in texts:
        try:
            board = orjson.loads(text)
        except orjson.JSONDecodeError:
            continue
        if isinstance(board, dict):
            yield obj, board


def _panels(board: Object) -> Iterator[Object]:
    """Also those of rows that are folded."""
    for panel in board.get("panels") or ():
        yield panel
        yield from panel.get("panels") or ()


def _speaks_of(observed: Observed, text: str) -> bool:
    """By a name as a whole word, also before a pattern as in `web-.*`; and not where it asks of other namespaces."""
    names = {observed.service, *(meta.name(service) for service in observed.services)}
    if not any(re.search(_WORD.format(re.escape(name)), text) for name in names):
        return False
    asked = _NAMESPACES.findall(text)
    return not asked or any(_fits(pattern, observed.namespace) for pattern in asked)


def _fits(pattern: str, name: str) -> bool:
    try:
        return "$" in pattern or re.fullmatch(pattern, name) is not None
    except re.error:
        return False


def alerting_rules_defined(observed: Observed, item: Item) -> Judgement:
    """Rules that Prometheus has loaded. Where it does not say, evidence; and objects alone are half of it."""
    loaded = [rule for rule in observed.rules or () if _speaks_of(observed, str(rule.get("query", "")))]
    if loaded:
        broken = [rule for rule in loaded if rule.get("health") == "err"]
        proof = Proof("Prometheus /api/v1/rules", clock.format_time(observed.now), canonical.digest(loaded), PROMETHEUS)
        if broken:
            return failed(f"alert {broken[0].get('name')} cannot be evaluated: {broken[0].get('lastError')}", proof)
        return passed(f"Prometheus evaluates {len(loaded)} alerts about it", proof)
    unloaded = _defined_alerts(observed)
    return unloaded if observed.rules is not None else first_that_knows([by_evidence(observed, item), unloaded])


def _defined_alerts(observed: Observed) -> Judgement:
    for obj in observed.all(PROMETHEUS_RULE):
        alerts = [rule for rule in _rules_of(obj) if rule.get("alert") and _speaks_of(observed, str(rule.get("expr")))]
        silent = [rule for rule in alerts if not (rule.get("labels") or {}).get("severity")]
        if alerts and silent:
            return warned(
                f"alert {silent[0]['alert']} has no severity, so that nobody knows whom to wake", observed.proof(obj)
            )
        if alerts:
            return warned(f"{len(alerts)} alerts are defined, but Prometheus has loaded none", observed.proof(obj))
    if observed.rules is not None:
        return failed("Prometheus evaluates no alert about it")
    return unknown(
        observed.unseen(PROMETHEUS_RULE) or "no alert about it is defined, and Prometheus does not list its rules"
    )


def _rules_of(obj: Object) -> Iterator[Object]:
    for group in (obj.get("spec") or {}).get("groups") or ():
        yield from group.get("rules") or ()


def log_aggregation_setup(observed: Observed, item: Item) -> Judgement:
    """A shipper on every node. Where none is seen the provider may do it, which only evidence can show."""
    for obj in observed.all(apps_v1.DAEMON_SET):
        spec = ((obj.get("spec") or {}).get("template") or {}).get("spec") or {}
        images = [str(container.get("image", "")) for container in spec.get("containers") or ()]
        if not any(name in image for name in SHIPPERS for image in images):
            continue
        state = obj.get("status") or {}
        ready, wanted = int(state.get("numberReady") or 0), int(state.get("desiredNumberScheduled") or 0)
        if not wanted or ready < wanted:
            return failed(f"DaemonSet {meta.name(obj)} ships logs of {ready} of {wanted} nodes", observed.proof(obj))
        return passed(f"DaemonSet {meta.name(obj)} ships the logs of all {wanted} nodes", observed.proof(obj))
    return by_evidence(observed, item)


def distributed_tracing_enabled(observed: Observed, item: Item) -> Judgement:
    arrived = observed.answer(measuring.TRACES)
    if arrived.value:
        return passed("its spans arrive", observed.measured(measuring.TRACES))
    asked = any(name.startswith(INJECTED) for name in meta.annotations(observed.template)) or any(
        entry.get("name") in TRACING for container in observed.containers for entry in container.get("env") or ()
    )
    if asked and observed.workload is not None:
        seen = by_evidence(observed, item)
        without = warned(
            "it is told where to send spans, but none was seen to arrive", observed.proof(observed.workload)
        )
        return first_that_knows([seen, without])
    return by_evidence(observed, item)


def performance_benchmarks_established(observed: Observed, item: Item) -> Judgement:
    """Thresholds of success and of latency that its releases are judged by, or a recorded baseline."""
    templates = list(_analyses(observed))
    queries = orjson.dumps(list(_asked(templates))).decode()
    success, latency = bool(_SUCCESS.search(queries)), bool(_LATENCY.search(queries))
    proofs = [observed.proof(obj) for obj in templates]
    if success and latency:
        return passed("its releases are judged by success and by latency", *proofs)
    recorded = by_evidence(observed, item)
    if recorded.result != "unknown" or not templates:
        return recorded
    return warned(f"its releases are not judged by {'latency' if success else 'success'}", *proofs)


def _analyses(observed: Observed) -> Iterator[Object]:
    """The AnalysisTemplates that its Rollout names."""
    named = set(re.findall(r'"templateName":"([^"]+)"', orjson.dumps((observed.workload or {}).get("spec")).decode()))
    for obj in observed.all(argoproj_v1alpha1.ANALYSIS_TEMPLATE):
        if meta.name(obj) in named:
            yield obj


def _asked(templates: list[Object]) -> Iterator[Object]:
    """What the metrics of analyses ask, without the conditions on the answer: each has one for success."""
    for obj in templates:
        for metric in (obj.get("spec") or {}).get("metrics") or ():
            yield {name: value for name, value in metric.items() if name not in CONDITIONS}


CATEGORY = Category("monitoring", "Monitoring", (
    Item(
        "prometheus_metrics_configured", "Prometheus has its numbers", "high", prometheus_metrics_configured,
        "samples of its pods in Prometheus",
        "kubectl edit {workload} {service} -n {namespace}",
    ),
    Item(
        "grafana_dashboards_created", "A dashboard shows it", "low", grafana_dashboards_created,
        "a dashboard with panels about it (ConfigMap with the label grafana_dashboard, or GrafanaDashboard)",
        PROPOSE, MEASURED, 180,
    ),
    Item(
        "alerting_rules_defined", "Alerts watch it", "high", alerting_rules_defined,
        "alerts about it that Prometheus evaluates, or signed evidence of them",
        PROPOSE, MEASURED, 30,
    ),
    Item(
        "log_aggregation_setup", "Its logs are kept elsewhere", "medium", log_aggregation_setup,
        "a log shipper on every node, or signed evidence of the provider's",
        IMPORT, MEASURED, 90,
    ),
    Item(
        "distributed_tracing_enabled", "Its requests can be traced", "low", distributed_tracing_enabled,
        "spans of it that arrive, or signed evidence",
        IMPORT, MEASURED, 90,
    ),
    Item(
        "performance_benchmarks_established", "What is fast enough is written down", "medium",
        performance_benchmarks_established,
        "AnalysisTemplates of its Rollout for success and latency, or a recorded baseline",
        "kubectl edit analysistemplates -n {namespace}", MEASURED, 180,
    ),
))  # fmt: skip
