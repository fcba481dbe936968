"""Manifests as files: every document of every YAML file of a folder, in the order of their names."""

from __future__ import annotations

from pathlib import Path

import yaml

from dabbawala.apimachinery.meta import Object


def read(folder: Path) -> list[Object]:
    files = sorted(folder.glob("*.yaml"))
    return [document for file in files for document in yaml.safe_load_all(file.read_text()) if document]
