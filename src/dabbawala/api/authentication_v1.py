"""Kinds of the group authentication.k8s.io, v1: questions about who someone is. Answered, never stored."""

from __future__ import annotations

from dabbawala.api.kind import Kind

_SCHEMA = "io.k8s.api.authentication.v1."

TOKEN_REVIEW = Kind(
    group="authentication.k8s.io", version="v1", kind="TokenReview", plural="tokenreviews", namespaced=False,
    verbs=("create",), schema=_SCHEMA + "TokenReview",
)  # fmt: skip
SELF_SUBJECT_REVIEW = Kind(
    group="authentication.k8s.io", version="v1", kind="SelfSubjectReview", plural="selfsubjectreviews",
    namespaced=False, verbs=("create",), schema=_SCHEMA + "SelfSubjectReview",
)  # fmt: skip

KINDS = (TOKEN_REVIEW, SELF_SUBJECT_REVIEW)
