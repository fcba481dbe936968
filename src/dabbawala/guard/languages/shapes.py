"""What a file is that holds no Kubernetes object: told from its name, or from the fields of the document. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

API_VERSION = "guard.dabbawala.dev/file"
"""The apiVersion under which checks know documents that no API server does."""

SCRIPT, DOCKERFILE, PIPELINE = "ShellScript", "Dockerfile", "GitLabPipeline"
RULES, PROMETHEUS, DASHBOARD, FLUENTD = "PrometheusRules", "PrometheusConfig", "GrafanaDashboard", "FluentdConfig"

_DOCKERFILE = re.compile(r"(?:Docker|Container)file(?:[.-][\w.-]+)?|[\w.-]+\.[Dd]ockerfile")
_NOT_BUILT = (".dockerignore", ".md", ".txt", ".j2", ".tpl", ".tmpl", ".erb", ".py", ".go", ".yaml", ".yml", ".json")
_SHELLS = (".sh", ".bash")
_SHEBANG = re.compile(r"#!\s*\S*/(?:env\s+(?:-S\s+)?)?(?:ba|da|k|a)?sh\b")
_PIPELINE = re.compile(r"\.?[\w.-]*gitlab-ci[\w.-]*\.ya?ml")
_FLUENTD = re.compile(r"^\s*<(?:source|match|filter|label|system)\b[^>]*>\s*$", re.MULTILINE)


def of_text(name: str) -> str:
    """The kind of a file that is no YAML; empty for any other."""
    plain = PurePath(name).name
    if _DOCKERFILE.fullmatch(plain) and not plain.endswith(_NOT_BUILT):
        return DOCKERFILE
    return SCRIPT if plain.endswith(_SHELLS) else ""


def of_value(name: str, key: str, text: str) -> str:
    """The kind of a text that a ConfigMap holds under a key."""
    if key.endswith(_SHELLS) or _SHEBANG.match(text):
        return SCRIPT
    if _FLUENTD.search(text) is not None and ("@type" in text or "type " in text):
        return FLUENTD
    return of_text(key)


def is_structured(key: str, text: str) -> bool:
    """Whether a ConfigMap's text may be YAML or JSON that `of_document` knows."""
    if key.endswith((".yaml", ".yml", ".rules")):
        return "scrape_configs" in text or "groups:" in text
    return key.endswith(".json") and '"panels"' in text


def of_document(name: str, obj: Mapping[str, Any]) -> str:
    """The kind of a YAML or JSON document without a kind of its own; empty where nobody knows it."""
    if _PIPELINE.fullmatch(PurePath(name).name) or _is_pipeline(obj):
        return PIPELINE
    groups = obj.get("groups")
    if isinstance(groups, list) and any(isinstance(group, dict) and "rules" in group for group in groups):
        return RULES
    if "scrape_configs" in obj or ("global" in obj and "rule_files" in obj):
        return PROMETHEUS
    shown = obj.get("dashboard", obj)
    if isinstance(shown, dict) and isinstance(shown.get("panels"), list) and isinstance(shown.get("title"), str):
        return DASHBOARD
    return ""


def _is_pipeline(obj: Mapping[str, Any]) -> bool:
    """Stages, and jobs that have a script and name one of them."""
    stages = obj.get("stages")
    if not isinstance(stages, list):
        return False
    return any(isinstance(job, dict) and "script" in job and job.get("stage") in stages for job in obj.values())
