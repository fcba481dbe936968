"""Kinds of the group authorization.k8s.io, v1: questions about what someone may do. Answered, never stored."""

from __future__ import annotations

from dabbawala.api.kind import Kind

GROUP = "authorization.k8s.io"
_SCHEMA = "io.k8s.api.authorization.v1."

SUBJECT_ACCESS_REVIEW = Kind(
    group=GROUP, version="v1", kind="SubjectAccessReview", plural="subjectaccessreviews", namespaced=False,
    verbs=("create",), schema=_SCHEMA + "SubjectAccessReview",
)  # fmt: skip
SELF_SUBJECT_ACCESS_REVIEW = Kind(
    group=GROUP, version="v1", kind="SelfSubjectAccessReview", plural="selfsubjectaccessreviews", namespaced=False,
    verbs=("create",), schema=_SCHEMA + "SelfSubjectAccessReview",
)  # fmt: skip
LOCAL_SUBJECT_ACCESS_REVIEW = Kind(
    group=GROUP, version="v1", kind="LocalSubjectAccessReview", plural="localsubjectaccessreviews",
    verbs=("create",), schema=_SCHEMA + "LocalSubjectAccessReview",
)  # fmt: skip
SELF_SUBJECT_RULES_REVIEW = Kind(
    group=GROUP, version="v1", kind="SelfSubjectRulesReview", plural="selfsubjectrulesreviews", namespaced=False,
    verbs=("create",), schema=_SCHEMA + "SelfSubjectRulesReview",
)  # fmt: skip

KINDS = (
    SUBJECT_ACCESS_REVIEW, SELF_SUBJECT_ACCESS_REVIEW, LOCAL_SUBJECT_ACCESS_REVIEW, SELF_SUBJECT_RULES_REVIEW,
)  # fmt: skip
