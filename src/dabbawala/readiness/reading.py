"""One look at a service through the API and at Prometheus: everything that its 42 items may be judged by.

What may not be read, is not served or does not answer is noted, and makes items unknown; nothing of it ends the look.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

import orjson

from dabbawala.api import core_v1, readiness_v1alpha1
from dabbawala.api.kind import Kind
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import Forbidden, MethodNotAllowed, NotFound, ServiceUnavailable, StatusError
from dabbawala.client import prometheus
from dabbawala.client.client import Client
from dabbawala.client.dialer import Dialer, DialFailed
from dabbawala.readiness import chain, measuring, signing, sources
from dabbawala.readiness.chain import Chain
from dabbawala.readiness.evidence import Evidence
from dabbawala.readiness.items.security import AUDIT_EVENTS
from dabbawala.readiness.observed import WORKLOADS, Measurement, Observed
from dabbawala.readiness.signing import Trust
from dabbawala.readiness.snapshot import trimmed

AUDIT_METRIC = "apiserver_audit_event_total"
QUERY_SECONDS_MAX = 10.0


class NoSuchService(Exception):
    """There is nothing of that name to look at."""


class _Seen:
    """What was listed, by resource."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.objects: dict[str, list[Object]] = {}
        self.hidden: dict[str, str] = {}

    async def list(self, kind: Kind, namespace: str | None, label_selector: str = "") -> None:
        try:
            found = (await self._client.list(kind, namespace, label_selector=label_selector)).items
        except (NotFound, MethodNotAllowed):
            return
        except Forbidden:
            where = f" of namespace {namespace}" if namespace else " of all namespaces" if kind.namespaced else ""
            self.hidden[kind.resource] = f"you may not list the {kind.plural}{where}"
            return
        except ServiceUnavailable as error:
            self.hidden[kind.resource] = f"{kind.resource} cannot be listed now: {error.message}"
            return
        known = self.objects.setdefault(kind.resource, [])
        seen = set(map(meta.key, known))
        known += sorted((trimmed(obj) for obj in found if meta.key(obj) not in seen), key=meta.key)


async def look(
    client: Client,
    service: str,
    namespace: str,
    *,
    now: datetime,
    prometheus: str = measuring.ADDRESS,
    trust: Trust | None = None,
) -> Observed:
    """Raises NoSuchService, and StatusError when the API server cannot be asked at all. Without `trust` the keys that
    the cluster's ConfigMap names are trusted."""
    try:
        await client.get(core_v1.NAMESPACE, namespace)
    except NotFound:
        raise NoSuchService(f"there is no namespace {namespace}") from None
    except Forbidden:
        pass
    seen = _Seen(client)
    await asyncio.gather(
        *(seen.list(kind, namespace) for kind in sources.OF_NAMESPACE),
        *(seen.list(kind, None) for kind in sources.OF_CLUSTER),
        seen.list(core_v1.CONFIG_MAP, None, sources.DASHBOARD_LABEL),
    )
    await seen.list(core_v1.POD, sources.SYSTEM_NAMESPACE, sources.API_SERVERS)
    found = Observed(service, namespace, now, seen.objects, seen.hidden, {}, None, trust or await trusted(client))
    if found.workload is None:
        known = ", ".join(sorted(f"{obj['kind']} {meta.name(obj)}" for obj in _workloads(found)))
        there = f"there are: {known}" if known else "it has no workload; -n names another namespace"
        raise NoSuchService(
            f"no Rollout, Deployment, StatefulSet, DaemonSet or Service {service} in namespace {namespace} ({there})"
        )
    return await _measured(client, found, prometheus)


def _workloads(observed: Observed) -> list[Object]:
    return [obj for kind in WORKLOADS for obj in observed.all(kind) if meta.namespace(obj) == observed.namespace]


async def trusted(client: Client) -> Trust:
    """The keys of the ConfigMap; none where there is none, or none that we may read. Raises BadKey."""
    try:
        found = await client.get(core_v1.CONFIG_MAP, signing.CONFIG_MAP, signing.NAMESPACE)
    except (NotFound, Forbidden):
        return Trust()
    return Trust.of(found.get("data") or {})


async def chain_of(client: Client, service: str, namespace: str) -> Chain:
    """The service's evidence. Raises StatusError."""
    found = await client.list(readiness_v1alpha1.EVIDENCE, namespace)
    return chain.of(map(Evidence.of, found.items), service, namespace)


# Measuring


async def _measured(client: Client, found: Observed, address: str) -> Observed:
    async with Dialer(client.transport) as dialer:
        questions = measuring.questions(found)
        answers = await asyncio.gather(*(_ask(dialer, address, query) for query in questions.values()))
        rules = await _rules(dialer, address)
    measurements = dict(zip(questions, answers, strict=True))
    measurements[AUDIT_EVENTS] = await _audit_events(client)
    return Observed(
        found.service, found.namespace, found.now, found.objects, found.hidden, measurements, rules, found.trust
    )


async def _ask(dialer: Dialer, address: str, query: str) -> Measurement:
    try:
        answer = await prometheus.ask(dialer, address, query, timeout_seconds=QUERY_SECONDS_MAX)
    except DialFailed as error:
        return Measurement(query, problem=str(error))
    return measuring.of_answer(query, answer)


async def _rules(dialer: Dialer, address: str) -> list[Object] | None:
    """Alerting rules that Prometheus has loaded; None where it does not list them."""
    try:
        answer = await dialer.request("GET", f"{address}/api/v1/rules?type=alert", timeout_seconds=QUERY_SECONDS_MAX)
        groups = orjson.loads(answer.body)["data"]["groups"] if answer.status == 200 else None
    except (DialFailed, orjson.JSONDecodeError, KeyError, TypeError):
        return None
    if groups is None:
        return None
    wanted = ("name", "query", "health", "lastError", "labels")
    return [
        {name: rule[name] for name in wanted if name in rule} for group in groups for rule in group.get("rules") or ()
    ]


async def _audit_events(client: Client) -> Measurement:
    """How many audit events the API server has counted. A server without an audit log counts none."""
    query = f"sum({AUDIT_METRIC})"
    try:
        response = await client.raw("GET", "/metrics", headers={"accept": "text/plain"})
        text = (await response.read()).decode(errors="replace")
    except StatusError as error:
        return Measurement(query, problem=error.message)
    values = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(AUDIT_METRIC)]
    return Measurement(query, sum(map(float, values)) if values else None)
