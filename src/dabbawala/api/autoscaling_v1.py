"""Kinds of the group autoscaling, v1: the same autoscalers as older clients know them."""

from __future__ import annotations

from dabbawala.api import autoscaling_columns, autoscaling_v1_form, autoscaling_v2, preparation
from dabbawala.api.kind import Kind
from dabbawala.apimachinery.meta import Object
from dabbawala.apimachinery.status import FieldError

_STORED = autoscaling_v2.HORIZONTAL_POD_AUTOSCALER
_status_apart = preparation.status_apart({"currentReplicas": 0, "desiredReplicas": 0})


def _prepare(new: Object, old: Object | None) -> None:
    _status_apart(new, old)
    autoscaling_v1_form.keep_status(new, old)


def _validate(new: Object, old: Object | None) -> list[FieldError]:
    """What is wrong is said of the fields of v2, as upstream does."""
    return _STORED.validate(autoscaling_v1_form.to_v2(new), None if old is None else autoscaling_v1_form.to_v2(old))


HORIZONTAL_POD_AUTOSCALER = Kind(
    group="autoscaling", version="v1", kind="HorizontalPodAutoscaler", plural="horizontalpodautoscalers",
    short_names=("hpa",), categories=("all",), subresources=frozenset({"status"}),
    schema="io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler", columns=autoscaling_columns.AUTOSCALER,
    default=autoscaling_v1_form.default, prepare=_prepare, validate=_validate,
    stored_as=_STORED, to_stored=autoscaling_v1_form.to_v2, from_stored=autoscaling_v1_form.from_v2,
)  # fmt: skip

KINDS = (HORIZONTAL_POD_AUTOSCALER,)
