"""Security: what the images contain, who may do what, who may reach whom, and what is kept of it."""

from __future__ import annotations

from dabbawala.api import core_v1, networking_v1, rbac_v1
from dabbawala.apimachinery import meta
from dabbawala.apimachinery.meta import Object, ObjectKey
from dabbawala.policy.network import Graph
from dabbawala.policy.takeover import Takeover, Takeovers
from dabbawala.readiness import exposure, images, reports
from dabbawala.readiness.judgement import (
    IMPORT,
    MEASURED,
    PROPOSE,
    SCAN,
    Category,
    Item,
    Judgement,
    Result,
    failed,
    passed,
    unknown,
    warned,
)
from dabbawala.readiness.observed import Observed
from dabbawala.readiness.sources import SYSTEM_NAMESPACE
from dabbawala.readiness.standing import by_evidence, needs

SCORE_MIN = 90
"""The least compliance score of an image. Source: scenario S066."""

METADATA_ADDRESS = "169.254.169.254"
"""Where clouds hand out the node's credentials."""

RIGHTS = (
    core_v1.SERVICE_ACCOUNT, rbac_v1.ROLE, rbac_v1.ROLE_BINDING, rbac_v1.CLUSTER_ROLE, rbac_v1.CLUSTER_ROLE_BINDING,
)  # fmt: skip
AROUND = (core_v1.POD, core_v1.NODE, core_v1.NAMESPACE, core_v1.SECRET)
"""What rights lead to."""

ENCRYPTION_FLAG = "--encryption-provider-config"
AUDIT_FLAGS = ("--audit-log-path", "--audit-webhook-config-file")
AUDIT_POLICY = "--audit-policy-file"
AUDIT_EVENTS = "audit_events"
"""The measurement of `apiserver_audit_event_total`."""


def container_image_scanned(observed: Observed, item: Item) -> Judgement:
    """No critical vulnerability and a score of 90, for the digest of every image that runs."""
    if observed.chain.problems:
        return by_evidence(observed, item)
    running, found = images.running(observed), images.scans(observed, item)
    if not running:
        return unknown("no pod runs, so that nobody knows which images would have to be scanned")
    unscanned = [image for digest, image in running.items() if digest not in found]
    if unscanned:
        rejected = by_evidence(observed, item)
        why = f"; {rejected.message}" if "does not count" in rejected.message else ""
        return Judgement(Result.UNKNOWN, f"no scan of {unscanned[0]} as it runs{why}", (), stale=rejected.stale)
    about = [found[digest] for digest in running]
    proofs = [scan.proof for scan in about]
    refused = [image for digest, image in running.items() if found[digest].failed]
    if refused:
        return failed(f"the scan of {refused[0]} says itself that it does not pass", *proofs)
    high = sum(scan.high for scan in about)
    said = f"{high} high vulnerabilities, scanned on {min(scan.at for scan in about):%Y-%m-%d}"
    if any(scan.critical for scan in about):
        return failed(f"{sum(scan.critical for scan in about)} critical and {said}", *proofs)
    scores = [scan.score for scan in about]
    if None in scores:
        return warned(f"0 critical and {said}, but the scan gives no compliance score", *proofs)
    worst = min(score for score in scores if score is not None)
    if worst < SCORE_MIN:
        return failed(f"compliance score {worst:g}, and {SCORE_MIN} is needed; {said}", *proofs)
    return passed(f"0 critical and {said}; score {worst:g}", *proofs)


def secrets_encrypted(observed: Observed, item: Item) -> Judgement:
    """Encryption at rest is the API server's business; only where it is a pod can its flags be seen."""
    scan = reports.scan(observed)
    if scan is not None and (clear := scan.failures(("SEC-02", "SEC-03"), "high")):
        return failed(f"{len(clear)} secrets stand in the clear in manifests", *scan.proofs)
    servers = _api_servers(observed)
    if servers:
        proofs = [observed.proof(pod) for pod in servers]
        if all(_has_flag(pod, ENCRYPTION_FLAG) for pod in servers):
            return passed("every API server encrypts what it stores", *proofs)
        return failed(f"an API server runs without {ENCRYPTION_FLAG}: Secrets are stored in the clear", *proofs)
    return by_evidence(observed, item)


def _api_servers(observed: Observed) -> list[Object]:
    """Only of the system's namespace: in its own, a service could call any pod so."""
    return [
        pod
        for pod in observed.all(core_v1.POD)
        if meta.namespace(pod) == SYSTEM_NAMESPACE and meta.labels(pod).get("component") == "kube-apiserver"
    ]


def _has_flag(pod: Object, *flags: str) -> bool:
    given = [
        str(word)
        for container in (pod.get("spec") or {}).get("containers") or ()
        for word in [*(container.get("command") or ()), *(container.get("args") or ())]
    ]
    return any(word.partition("=")[0] in flags for word in given)


def rbac_configured(observed: Observed, item: Item) -> Judgement:
    """An account of its own, whose rights lead nowhere near cluster-admin."""
    if observed.workload is None:
        return unknown("there is no workload")
    account = str((observed.template.get("spec") or {}).get("serviceAccountName") or "default")
    if account == "default":
        return failed(
            "its pods use the account `default`, which they share with everything else of the namespace",
            observed.proof(observed.workload),
        )
    unseen = next((text for kind in (*RIGHTS, *AROUND) if (text := observed.unseen(kind))), "")
    if unseen:
        return unknown(unseen)
    accounts = [found for found in observed.all(core_v1.SERVICE_ACCOUNT) if meta.name(found) == account]
    if not accounts:
        return failed(f"its ServiceAccount {account} is not there", observed.proof(observed.workload))
    way = _takeover(observed, account)
    if way is not None:
        return failed(f"it can take over the cluster: {way.sentence}", observed.proof(accounts[0]))
    found = reports.clean(observed, ("RBAC-",), "high")
    if isinstance(found, Judgement):
        return found.advising(SCAN)
    return passed(f"account {account} has no way to cluster-admin, and the scan finds nothing", *found.proofs)


def _takeover(observed: Observed, account: str) -> Takeover | None:
    """A way to cluster-admin from its pods, or from its account before any pod runs."""
    found = Takeovers(obj for kind in (*RIGHTS, *AROUND) for obj in observed.all(kind))
    ways = [found.of_account(ObjectKey(observed.namespace, account))]
    ways += [found.of_pod(meta.key(pod)) for pod in observed.pods]
    return next((way for way in ways if way is not None), None)


def network_segmentation(observed: Observed, item: Item) -> Judgement:
    """A stranger in another namespace is not let in, and the pods are not let out to everywhere. What policies say is
    computed; whether the network keeps to it, only a probe can show."""
    unseen = observed.unseen(networking_v1.NETWORK_POLICY)
    if unseen:
        return unknown(unseen)
    if not observed.pods:
        return unknown("no pod runs")
    policies = list(observed.all(networking_v1.NETWORK_POLICY))
    stranger = {"metadata": {"name": "stranger", "namespace": "stranger"}, "spec": {}, "status": {"phase": "Running"}}
    namespaces = [observed.home, {"metadata": {"name": "stranger"}}]
    pods = [*observed.pods, stranger]
    graph = Graph([item for item in namespaces if item], pods, policies, pod_ranges=exposure.pod_ranges(observed))
    own = meta.key(observed.pods[0])
    proofs = [observed.proof(policy) for policy in policies]
    if graph.ports(ObjectKey("stranger", "stranger"), own):
        return failed("any pod of any namespace reaches its pods", *proofs)
    if graph.allows(own, METADATA_ADDRESS, 80):
        return failed(f"its pods reach the node's credentials at {METADATA_ADDRESS}", *proofs)
    probe = by_evidence(observed, item)
    if probe.result == "fail":
        return probe
    return passed("policies let in nobody from elsewhere and keep its pods from the node's credentials", *proofs)


def audit_logging_enabled(observed: Observed, item: Item) -> Judgement:
    servers = _api_servers(observed)
    if servers:
        proofs = [observed.proof(pod) for pod in servers]
        if all(_has_flag(pod, *AUDIT_FLAGS) and _has_flag(pod, AUDIT_POLICY) for pod in servers):
            return passed("every API server writes an audit log by a policy", *proofs)
        return failed(f"an API server runs without {AUDIT_FLAGS[0]} or {AUDIT_POLICY}", *proofs)
    counted = observed.answer(AUDIT_EVENTS)
    if counted.value:
        return passed(f"the API server has recorded {counted.value:.0f} audit events", observed.measured(AUDIT_EVENTS))
    return by_evidence(observed, item)


def vulnerability_patching(observed: Observed, item: Item) -> Judgement:
    if observed.chain.problems:
        return by_evidence(observed, item)
    running, found = images.running(observed), images.scans(observed, item)
    known = [found[digest] for digest in running if digest in found]
    if not running or len(known) < len(running):
        return _of_all(observed, running, by_evidence(observed, item, lambda record: needs(record, overdue=0)))
    proofs = [scan.proof for scan in known]
    if any(scan.failed for scan in known):
        return failed("a scan says itself that vulnerabilities are not patched in time", *proofs)
    late = sum(scan.overdue or 0 for scan in known)
    if late:
        return failed(f"{late} vulnerabilities are past their deadline", *proofs)
    if any(scan.overdue is None for scan in known):
        severe = sum(scan.critical + scan.high for scan in known)
        clean = passed("no critical or high vulnerability is left", *proofs)
        return warned(f"{severe} critical or high ones are left, of unknown deadline", *proofs) if severe else clean
    return passed("no vulnerability is past its deadline", *proofs)


def _of_all(observed: Observed, running: dict[str, str], found: Judgement) -> Judgement:
    """A record that passes, if it is about every image that runs. One of a single image says nothing of the others."""
    hashes = {proof.digest for proof in found.proofs}
    told = {
        str(subject["hash"])
        for record in observed.chain.records
        if record.hash in hashes
        for subject in record.spec.get("subjects") or ()
    }
    other = [image for digest, image in running.items() if digest not in told]
    if found.result is not Result.PASS or (running and not other):
        return found
    return unknown(f"no scan of {other[0]} as it runs" if other else "no pod runs, so that nobody knows which images")


CATEGORY = Category("security", "Security", (
    Item(
        "container_image_scanned", "Every running image is scanned", "critical", container_image_scanned,
        "a scan of each running digest: no critical vulnerability, score at least 90",
        IMPORT, MEASURED, 7,
    ),
    Item(
        "secrets_encrypted", "Secrets are encrypted at rest", "high", secrets_encrypted,
        "the API server's flags where they can be seen, or signed evidence of the provider's setting",
        IMPORT, MEASURED, 180,
    ),
    Item(
        "rbac_configured", "Rights are least", "high", rbac_configured,
        "an account of its own, no way from it to cluster-admin, and a clean scan of RBAC",
        PROPOSE,
    ),
    Item(
        "network_segmentation", "Nobody else gets in", "high", network_segmentation,
        "reachability computed from all policies, and signed evidence of a probe if there is one",
        PROPOSE, MEASURED, 30,
    ),
    Item(
        "audit_logging_enabled", "The API server keeps an audit log", "critical", audit_logging_enabled,
        "the API server's flags or its count of audit events, or signed evidence of the provider's setting",
        IMPORT, MEASURED, 90,
    ),
    Item(
        "vulnerability_patching", "Vulnerabilities are patched in time", "high", vulnerability_patching,
        "scans of the running digests without an overdue vulnerability (details: overdue)",
        IMPORT, MEASURED, 7,
    ),
))  # fmt: skip
