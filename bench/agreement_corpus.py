"""The manifests that two scanners are asked about: every case of every check, manifests as teams write them, and what
this repository ships itself.

Each case is a folder, so that what connects objects (policies and pods, bindings and roles) connects only those of the
case, in both scanners. Objects that a cluster would refuse have no place here; the cases have none.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import manifests
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests.guard import cases  # noqa: E402  # the tests are no package

GENERATED = 400
SHIPPED = ("workloads", "manifests")


def write(folder: Path) -> int:
    """The files that were written."""
    for name in cases.ids():
        for number, case in enumerate(cases.read(name)):
            word = "good" if case.good else "bad"
            home = folder / "cases" / name / f"{word}-{number:02}"
            home.mkdir(parents=True)
            (home / "case.yaml").write_text(yaml.safe_dump_all(case.objects, sort_keys=False))
    for index, manifest in enumerate(manifests.manifests(GENERATED)):
        home = folder / "teams" / f"{index:03}"
        home.mkdir(parents=True)
        (home / "manifest.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))
    for name in SHIPPED:
        for path in sorted((ROOT / name).rglob("*.yaml")):
            home = folder / "shipped" / path.relative_to(ROOT).parent
            home.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, home / path.name)
    return sum(1 for _ in folder.rglob("*.yaml"))
