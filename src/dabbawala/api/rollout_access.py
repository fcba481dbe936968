"""What the rollout capability may do in a cluster: the one source of its rights.

The embedded cluster gives them to its own user, `manifests/rollout/access.yaml` the same to a service account, and
a test holds the two together. The lease of the leader election is not among them: whoever elects says where it lies.
"""

from __future__ import annotations

from collections.abc import Sequence

from dabbawala.apimachinery.meta import Object

_LOOK = ("get", "list", "watch")
_STEER = (*_LOOK, "patch")


def _rule(group: str, resources: Sequence[str], verbs: Sequence[str]) -> Object:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


RULES: tuple[Object, ...] = (
    # The Rollouts, and their progress.
    _rule("argoproj.io", ["rollouts"], _STEER),
    _rule("argoproj.io", ["rollouts/status"], ["patch"]),
    _rule("argoproj.io", ["analysisruns"], [*_LOOK, "create", "patch", "delete"]),
    # Owner references that block deletion, where the cluster enforces who may set them.
    _rule("argoproj.io", ["rollouts/finalizers", "analysisruns/finalizers"], ["update"]),
    _rule("argoproj.io", ["analysistemplates", "clusteranalysistemplates"], _LOOK),
    # A ReplicaSet for each version.
    _rule("apps", ["replicasets"], [*_LOOK, "create", "patch", "delete"]),
    # workloadRef scales the Deployment down; and another Argo controller is recognised by its Deployment.
    _rule("apps", ["deployments"], _STEER),
    # The switch: selectors of Services, and what became of them.
    _rule("", ["services"], _STEER),
    _rule("discovery.k8s.io", ["endpointslices"], _LOOK),
    _rule("networking.istio.io", ["virtualservices", "destinationrules"], _STEER),
    # Metadata of pods; restarts go through the eviction API and respect disruption budgets.
    _rule("", ["pods"], _STEER),
    _rule("", ["pods/eviction"], ["create"]),
    # Analyses: Jobs, values from Secrets, and Prometheus or a web address reached from outside the cluster.
    _rule("batch", ["jobs"], [*_LOOK, "create", "delete"]),
    _rule("", ["secrets"], ["get"]),
    _rule("", ["services/proxy"], ["get", "create", "update"]),
    _rule("", ["events"], ["create", "patch"]),
)
