"""The kinds of PATCH, named by their content types. Source: apimachinery/pkg/types PatchType."""

from __future__ import annotations

from enum import StrEnum


class PatchType(StrEnum):
    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"
