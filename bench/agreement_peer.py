"""What Checkov says of every folder of manifests, as JSON. Run by `agreement.py` with the interpreter of Checkov's own
environment: one process for all folders, because its start takes longer than a folder.

    PEER/bin/python bench/agreement_peer.py FOLDER

{file: {"Kind.namespace.name": {check: passed | failed}}}, files relative to the folder. Each folder with manifests is a
world of its own: what Checkov's graph checks connect is what lies in one folder.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

logging.disable(logging.CRITICAL)

from checkov.kubernetes.runner import Runner  # noqa: E402  # it logs while it is imported
from checkov.runner_filter import RunnerFilter  # noqa: E402


def main(root: Path) -> None:
    said: dict[str, dict[str, dict[str, str]]] = {}
    chosen = RunnerFilter(framework=["kubernetes"], show_progress_bar=False)
    for folder in sorted({path.parent for path in root.rglob("*.yaml")}):
        report = Runner().run(root_folder=str(folder), runner_filter=chosen)
        for word, records in (("passed", report.passed_checks), ("failed", report.failed_checks)):
            for record in records:
                name = str((folder / Path(record.file_path).name).relative_to(root))
                said.setdefault(name, {}).setdefault(record.resource, {})[record.check_id] = word
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
