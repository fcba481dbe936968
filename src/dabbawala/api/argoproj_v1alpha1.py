"""Kinds of the group argoproj.io, v1alpha1, with Argo Rollouts' own schemas.

Source: the CustomResourceDefinitions of Argo Rollouts. AnalysisRun and Experiment have no status subresource there:
their status is written together with the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from dabbawala.api import cells, custom_schemas, object_meta, preparation
from dabbawala.api.kind import Column, Kind, Scale
from dabbawala.apimachinery import status
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import FieldError

GROUP = "argoproj.io"


def _schema(kind: str) -> Callable[[], Mapping[str, object]]:
    return partial(custom_schemas.open_api, "argoproj_v1alpha1", kind)


def _selector_stays(new: Object, old: Object | None) -> Iterator[FieldError]:
    before, after = ((obj or {}).get("spec", {}).get("selector") for obj in (old, new))
    if before is not None and before != after:
        yield status.invalid("spec.selector", "object", "spec.selector is immutable")


def _number(title: str, path: str, description: str) -> Column:
    return Column(title, path=path, type="integer", description=description)


_PHASE = Column("Status", path=".status.phase", description="Phase of the resource")
_ROLLOUT_COLUMNS = (
    cells.NAME,
    _number("Desired", ".spec.replicas", "Number of desired pods"),
    _number("Current", ".status.replicas", "Total number of non-terminated pods targeted by this rollout"),
    _number("Up-to-date", ".status.updatedReplicas", "Number of pods that have the desired template"),
    _number("Available", ".status.availableReplicas", "Number of pods available for at least minReadySeconds"),
    cells.AGE,
)

ROLLOUT = Kind(
    group=GROUP, version="v1alpha1", kind="Rollout", plural="rollouts", short_names=("ro",),
    subresources=frozenset({"status", "scale"}), custom=True, open_api=_schema("Rollout"),
    columns=_ROLLOUT_COLUMNS, prepare=preparation.status_apart(None),
    validate=object_meta.validate(_selector_stays, custom=True),
    scale=Scale(status_replicas=".status.HPAReplicas", label_selector=".status.selector"),
)  # fmt: skip
ANALYSIS_TEMPLATE = Kind(
    group=GROUP, version="v1alpha1", kind="AnalysisTemplate", plural="analysistemplates", short_names=("at",),
    custom=True, open_api=_schema("AnalysisTemplate"), columns=(cells.NAME, cells.AGE),
    validate=object_meta.validate(custom=True),
)  # fmt: skip
CLUSTER_ANALYSIS_TEMPLATE = Kind(
    group=GROUP, version="v1alpha1", kind="ClusterAnalysisTemplate", plural="clusteranalysistemplates",
    short_names=("cat",), namespaced=False, custom=True, open_api=_schema("ClusterAnalysisTemplate"),
    columns=(cells.NAME, cells.AGE), validate=object_meta.validate(custom=True),
)  # fmt: skip
ANALYSIS_RUN = Kind(
    group=GROUP, version="v1alpha1", kind="AnalysisRun", plural="analysisruns", short_names=("ar",), custom=True,
    open_api=_schema("AnalysisRun"), columns=(cells.NAME, _PHASE, cells.AGE),
    validate=object_meta.validate(custom=True),
)  # fmt: skip
EXPERIMENT = Kind(
    group=GROUP, version="v1alpha1", kind="Experiment", plural="experiments", short_names=("exp",), custom=True,
    open_api=_schema("Experiment"), columns=(cells.NAME, _PHASE, cells.AGE), validate=object_meta.validate(custom=True),
)  # fmt: skip

KINDS = (ROLLOUT, ANALYSIS_TEMPLATE, CLUSTER_ANALYSIS_TEMPLATE, ANALYSIS_RUN, EXPERIMENT)
