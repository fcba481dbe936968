"""Kinds of the group argoproj.io, v1alpha1, with Argo Rollouts' own schemas.

Source: the CustomResourceDefinitions of Argo Rollouts. AnalysisRun and Experiment have no status subresource there:
their status is written together with the rest.
"""

from __future__ import annotations

from dabbawala.api.kind import Kind, Scale

GROUP = "argoproj.io"

ROLLOUT = Kind(
    group=GROUP, version="v1alpha1", kind="Rollout", plural="rollouts", short_names=("ro",),
    subresources=frozenset({"status", "scale"}), custom=True,
    scale=Scale(status_replicas=".status.HPAReplicas", label_selector=".status.selector"),
)  # fmt: skip
ANALYSIS_TEMPLATE = Kind(
    group=GROUP, version="v1alpha1", kind="AnalysisTemplate", plural="analysistemplates", short_names=("at",),
    custom=True,
)  # fmt: skip
CLUSTER_ANALYSIS_TEMPLATE = Kind(
    group=GROUP, version="v1alpha1", kind="ClusterAnalysisTemplate", plural="clusteranalysistemplates",
    short_names=("cat",), namespaced=False, custom=True,
)  # fmt: skip
ANALYSIS_RUN = Kind(
    group=GROUP, version="v1alpha1", kind="AnalysisRun", plural="analysisruns", short_names=("ar",), custom=True,
)  # fmt: skip
EXPERIMENT = Kind(
    group=GROUP, version="v1alpha1", kind="Experiment", plural="experiments", short_names=("exp",), custom=True,
)  # fmt: skip

KINDS = (ROLLOUT, ANALYSIS_TEMPLATE, CLUSTER_ANALYSIS_TEMPLATE, ANALYSIS_RUN, EXPERIMENT)
