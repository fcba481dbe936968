"""Merging a cluster's kubeconfig into the user's own, the way kind and k3d do: replace our entries, keep the others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

SECTIONS = ("clusters", "users", "contexts")


class Unreadable(Exception):
    """The user's file is no kubeconfig; it was left alone."""


def merge(source: Path, target: Path) -> str:
    """Put the entries of `source` into `target` and make its context current; returns the context's name.

    Raises Unreadable for a `target` that is no kubeconfig, and OSError.
    """
    ours: dict[str, Any] = yaml.safe_load(source.read_text())
    theirs = _read(target) if target.exists() else {}
    merged = {"apiVersion": "v1", "kind": "Config", **theirs}
    for section in SECTIONS:
        names = {entry["name"] for entry in ours[section]}
        kept = [entry for entry in theirs.get(section) or [] if entry.get("name") not in names]
        merged[section] = [*kept, *ours[section]]
    merged["current-context"] = ours["current-context"]
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = target.with_suffix(".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        yaml.safe_dump(merged, file, sort_keys=False)
    fresh.replace(target)
    return str(ours["current-context"])


def _read(target: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(target.read_text()) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Unreadable(
            f"{target} is not YAML ({' '.join(str(error).split())}); repair it, or move it away"
        ) from error
    if not isinstance(found, dict):
        raise Unreadable(f"{target} is no kubeconfig; move it away, or set KUBECONFIG to another file")
    return found
