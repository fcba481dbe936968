"""Infrastructure: where the service runs, how it grows, how it is reached, and who may reach it."""

from __future__ import annotations

from collections.abc import Iterable

from dabbawala.api import autoscaling_v2, core_v1, discovery_v1, networking_v1
from dabbawala.apimachinery import conditions, meta, selectors
from dabbawala.apimachinery.meta import Object
from dabbawala.readiness import certificates, exposure, regions
from dabbawala.readiness.certificates import EXPIRY_DAYS_MIN
from dabbawala.readiness.evidence import Evidence
from dabbawala.readiness.judgement import (
    IMPORT,
    MEASURED,
    PROPOSE,
    Category,
    Item,
    Judgement,
    Proof,
    Result,
    failed,
    passed,
    unknown,
    warned,
)
from dabbawala.readiness.observed import Observed
from dabbawala.readiness.sources import DNS_ENDPOINT, GSLB, SCALED_OBJECT
from dabbawala.readiness.standing import by_evidence, first_that_knows, objection, proof_of

REGION = "topology.kubernetes.io/region"
REGIONS_MIN = 2
REPLICAS_MIN = 2


def multi_region_deployment(observed: Observed, item: Item) -> Judgement:
    """One cluster is mostly one region, so that each other region speaks by evidence of its own."""
    wanted = {regions.place(name) for name in observed.setting("regions").split(",") if name} or {*regions.SERVING}
    nodes = {meta.name(node): node for node in observed.all(core_v1.NODE)}
    seen: dict[str, Proof] = {}
    for pod in observed.ready_pods:
        node = nodes.get(str((pod.get("spec") or {}).get("nodeName", "")))
        region = meta.labels(node or {}).get(REGION)
        if node is not None and region:
            seen.setdefault(regions.place(region), observed.proof(node))
    for region, record in _elsewhere(observed, item).items():
        if record.result == "pass":
            seen.setdefault(region, proof_of(record))
    there = sorted(set(seen) & wanted)
    proofs = [seen[name] for name in sorted(seen)]
    if len(there) >= REGIONS_MIN:
        return passed(f"runs in {', '.join(there)}", *proofs)
    if not seen:
        return unknown(f"no node of a ready pod says its region (label {REGION}), and no other cluster gave evidence")
    found = ", ".join(sorted(seen))
    return failed(f"runs in {found}; at least {REGIONS_MIN} of {', '.join(sorted(wanted))} are needed", *proofs)


def _elsewhere(observed: Observed, item: Item) -> dict[str, Evidence]:
    """Region -> the newest record about it that counts: what was so before does not outlive what is so now."""
    found = {}
    whole = () if observed.chain.problems else observed.chain.records
    for record in sorted(whole, key=lambda record: (record.observed_at, record.sequence)):
        region = regions.place(record.details.get("region", ""))
        if region and record.item == item.id and not objection(observed, item, record):
            found[region] = record
    return found


def auto_scaling_configured(observed: Observed, item: Item) -> Judgement:
    """By an autoscaler that its controller reports on; where none does, by evidence of another that is not here."""
    found = _autoscaling(observed)
    idle = found.result is not Result.PASS and not (found.result is Result.FAIL and found.proofs)
    return first_that_knows([by_evidence(observed, item), found]) if idle else found


def _autoscaling(observed: Observed) -> Judgement:
    scaler = autoscaler(observed)
    if scaler is None:
        unseen = observed.unseen(autoscaling_v2.HORIZONTAL_POD_AUTOSCALER)
        return unknown(unseen) if unseen else failed("no HorizontalPodAutoscaler or ScaledObject scales the workload")
    proof, where = observed.proof(scaler), f"{scaler['kind']} {meta.name(scaler)}"
    low, high = bounds(scaler)
    if high <= low:
        return failed(f"{where} cannot scale: its least is {low} and its most {high}", proof)
    if low < REPLICAS_MIN:
        return failed(f"{where} may go down to {low}; with fewer than {REPLICAS_MIN} an update is an outage", proof)
    if scaler["kind"] == "HorizontalPodAutoscaler" and (lacking := _without_requests(observed, scaler)):
        return failed(f"{where} scales on {lacking[0]} of requests, which container {lacking[1]} has not", proof)
    return _acted_on(scaler, where, f"{low} to {high} replicas", proof)


def _acted_on(scaler: Object, where: str, size: str, proof: Proof) -> Judgement:
    """What its controller says of it. An autoscaler that nobody acts on is none."""
    if not (scaler.get("status") or {}).get("conditions"):
        return warned(f"{where} is there ({size}), but no controller has acted on it", proof)
    said = {name: conditions.find(scaler, name) for name in ("AbleToScale", "ScalingActive", "Ready")}
    for name, found in said.items():
        if found is not None and found.get("status") == "False":
            return failed(f"{where}: {found.get('reason', name)}: {found.get('message', '')}", proof)
    able = said["Ready" if scaler["kind"] == "ScaledObject" else "ScalingActive"] or {}
    if able.get("status") != "True":
        return warned(f"{where} is there ({size}), but its controller does not say that it can scale", proof)
    return passed(f"{where} scales from {size}", proof)


def autoscaler(observed: Observed) -> Object | None:
    """What scales the workload."""
    if observed.workload is None:
        return None
    target = (observed.workload.get("kind"), meta.name(observed.workload))
    for obj in (*observed.all(autoscaling_v2.HORIZONTAL_POD_AUTOSCALER), *observed.all(SCALED_OBJECT)):
        reference = (obj.get("spec") or {}).get("scaleTargetRef") or {}
        if (reference.get("kind") or "Deployment", reference.get("name")) == target:
            return obj
    return None


def bounds(scaler: Object) -> tuple[int, int]:
    """Least and most replicas. KEDA's defaults are 0 and 100."""
    spec = scaler.get("spec") or {}
    if scaler["kind"] == "ScaledObject":
        return int(spec.get("minReplicaCount") or 0), int(spec.get("maxReplicaCount") or 100)
    return int(spec.get("minReplicas") or 1), int(spec.get("maxReplicas") or 0)


def _without_requests(observed: Observed, scaler: Object) -> tuple[str, str] | None:
    """A resource that is scaled on, and a container that does not request it."""
    for metric in (scaler.get("spec") or {}).get("metrics") or ():
        resource = (metric.get("resource") or {}).get("name") if metric.get("type") == "Resource" else None
        for container in observed.containers if resource else ():
            if resource not in ((container.get("resources") or {}).get("requests") or {}):
                return str(resource), str(container.get("name"))
    return None


def load_balancer_health_checks(observed: Observed, item: Item) -> Judgement:
    if not observed.services:
        return unknown(observed.unseen(core_v1.SERVICE) or "no Service leads to the workload")
    blind = [str(container.get("name")) for container in observed.containers if not container.get("readinessProbe")]
    if blind:
        return failed(f"container {blind[0]} has no readinessProbe: traffic comes before it can answer")
    proofs = [observed.proof(service) for service in observed.services]
    ready = {meta.name(service): _ready(observed, service) for service in observed.services}
    idle = [name for name, count in ready.items() if not count]
    if idle:
        return failed(f"no endpoint of Service {', '.join(idle)} is ready", *proofs)
    listed = ", ".join(f"{count} of Service {name}" for name, count in ready.items())
    return passed(f"every container is probed; ready endpoints: {listed}", *proofs)


def _ready(observed: Observed, service: Object) -> int:
    """The endpoints that serve; a pod that a Service of two address families has in two slices counts once."""
    found = set()
    for slice_ in _slices(observed, service):
        for end in slice_.get("endpoints") or ():
            if _serves(end):
                found.add((end.get("targetRef") or {}).get("name") or str(end.get("addresses")))
    return len(found)


def _slices(observed: Observed, service: Object) -> Iterable[Object]:
    own = meta.name(service)
    return (
        slice_
        for slice_ in observed.all(discovery_v1.ENDPOINT_SLICE)
        if meta.labels(slice_).get("kubernetes.io/service-name") == own
    )


def _serves(endpoint: Object) -> bool:
    return (endpoint.get("conditions") or {}).get("ready") is not False


def dns_failover_setup(observed: Observed, item: Item) -> Judgement:
    hosts = {host for door in exposure.doors(observed) for host in door.hosts}
    for gslb in observed.all(GSLB):
        spec = gslb.get("spec") or {}
        if (spec.get("strategy") or {}).get("type") == "failover" and hosts & set(_hosts_of(spec)):
            return _steered(observed, gslb, "k8gb fails over between its regions")
    for record in observed.all(DNS_ENDPOINT):
        names = [end for end in (record.get("spec") or {}).get("endpoints") or () if end.get("dnsName") in hosts]
        if any(_is_failover(end) for end in names):
            return _steered(observed, record, "its names have failover records with health checks")
    return by_evidence(observed, item)


def _steered(observed: Observed, obj: Object, message: str) -> Judgement:
    where = f"{obj.get('kind')} {meta.name(obj)}"
    if not obj.get("status"):
        return warned(f"{where} is there, but no controller has acted on it", observed.proof(obj))
    return passed(message, observed.proof(obj))


def _hosts_of(spec: Object) -> list[str]:
    return [str(rule.get("host")) for rule in (spec.get("ingress") or {}).get("rules") or ()]


def _is_failover(endpoint: Object) -> bool:
    given = {item.get("name") for item in endpoint.get("providerSpecific") or ()}
    return {"aws/failover", "aws/health-check-id"} <= given


def ssl_certificates_valid(observed: Observed, item: Item) -> Judgement:
    bare = [service for service in exposure.bare_services(observed) if exposure.is_clear(service)]
    doors = exposure.doors(observed)
    if bare:
        names = ", ".join(f"{meta.name(service)} ({service['spec']['type']})" for service in bare)
        found = failed(f"reached from outside without TLS: Service {names}", *map(observed.proof, bare))
        return found.advising(f"{_ingress_for(bare[0])} && {_closed(bare[0])}")
    clear = [door for door in doors if not door.secret]
    if clear:
        hosts = ", ".join(clear[0].hosts) or "all hosts"
        return failed(
            f"Ingress {meta.name(clear[0].ingress)} serves {hosts} without TLS", observed.proof(clear[0].ingress)
        )
    if not doors:
        return first_that_knows(
            [by_evidence(observed, item), unknown("nothing shows with which certificates it is served")]
        )
    return min((_door(observed, door) for door in doors), key=lambda found: _ORDER.index(found.result))


def _ingress_for(service: Object) -> str:
    name, port = meta.name(service), service["spec"]["ports"][0]["port"]
    return f"kubectl create ingress {name} -n {{namespace}} --rule='HOST/*={name}:{port},tls=SECRET'"


def _closed(service: Object) -> str:
    """Braces are doubled: a remedy is a format."""
    patch = '{{"spec":{{"type":"ClusterIP"}}}}'
    return f"kubectl patch service {meta.name(service)} -n {{namespace}} -p '{patch}'"


_ORDER = ("fail", "unknown", "warn", "pass")


def _door(observed: Observed, door: exposure.Door) -> Judgement:
    found = exposure.secret(observed, door.secret)
    if found is None:
        unseen = observed.unseen(core_v1.SECRET)
        return (
            unknown(unseen)
            if unseen
            else failed(f"Secret {door.secret} of Ingress {meta.name(door.ingress)} is not there")
        )
    proof = observed.proof(found)
    try:
        chain = certificates.read(str((found.get("data") or {}).get("tls.crt", "")))
    except certificates.Unreadable as error:
        return failed(f"Secret {door.secret} holds no certificate: {error}", proof)
    faults = certificates.faults(chain, door.hosts, observed.now)
    left = certificates.days_left(chain, observed.now)
    if faults:
        return failed(f"certificate in Secret {door.secret}: {faults[0]}", proof)
    if left < EXPIRY_DAYS_MIN:
        return warned(
            f"certificate in Secret {door.secret} ends in {left} days, and {EXPIRY_DAYS_MIN} are needed", proof
        )
    if certificates.is_self_signed(chain):
        return warned(f"certificate in Secret {door.secret} is signed by itself: no client trusts it", proof)
    if not ((door.ingress.get("status") or {}).get("loadBalancer") or {}).get("ingress"):
        return warned(f"Ingress {meta.name(door.ingress)} is there, but no controller serves it", proof)
    return passed(f"certificate for {', '.join(door.hosts)}: chain and names hold, {left} days left", proof)


def network_policies_applied(observed: Observed, item: Item) -> Judgement:
    unseen = observed.unseen(networking_v1.NETWORK_POLICY)
    if unseen:
        return unknown(unseen)
    labels = meta.labels(observed.template)
    own = [
        policy
        for policy in observed.all(networking_v1.NETWORK_POLICY)
        if selectors.from_label_selector((policy.get("spec") or {}).get("podSelector") or {}).matches(labels)
    ]
    covered = {direction for policy in own for direction in _directions(policy["spec"])}
    missing = [direction for direction in ("Ingress", "Egress") if direction not in covered]
    if missing:
        words = " and ".join(direction.lower() for direction in missing)
        return failed(
            f"no NetworkPolicy selects its pods for {words}: everything is allowed", *map(observed.proof, own)
        )
    return passed(f"policies that select its pods, for ingress and egress: {len(own)}", *map(observed.proof, own))


def _directions(spec: Object) -> list[str]:
    return spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]


CATEGORY = Category("infrastructure", "Infrastructure", (
    Item(
        "multi_region_deployment", "Runs in at least two regions", "high", multi_region_deployment,
        "ready pods on nodes of two regions, or signed evidence of the other region's cluster (details: region)",
        IMPORT, MEASURED, 7,
    ),
    Item(
        "auto_scaling_configured", "Scales by itself", "critical", auto_scaling_configured,
        "a HorizontalPodAutoscaler or ScaledObject for the workload, on which its controller reports, or signed "
        "evidence of another autoscaler",
        PROPOSE, MEASURED, 30,
    ),
    Item(
        "load_balancer_health_checks", "Gets traffic only while it can answer", "high", load_balancer_health_checks,
        "readiness probes on every container, and ready endpoints behind its Services",
        "kubectl edit {workload} {service} -n {namespace}",
    ),
    Item(
        "dns_failover_setup", "Names fail over", "medium", dns_failover_setup,
        "a k8gb Gslb or external-dns failover records for its hosts, or signed evidence of the provider's set-up",
        IMPORT, MEASURED, 90,
    ),
    Item(
        "ssl_certificates_valid", "Certificates are valid for 30 days", "critical", ssl_certificates_valid,
        "the certificate chain, names and expiry of every host that leads here, or signed evidence of a probe",
        "kubectl create secret tls {service}-tls -n {namespace} --cert=FILE --key=FILE", MEASURED, 7,
    ),
    Item(
        "network_policies_applied", "Network policies select its pods", "high", network_policies_applied,
        "NetworkPolicies that select its pods for ingress and for egress",
        PROPOSE,
    ),
))  # fmt: skip
