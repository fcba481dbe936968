"""Scans by an installed Trivy: one image after the other, a few at a time, one file for each namespace and image.

A run that fails leaves a file that says so, so that nobody takes the image for clean. Trivy's own exit status is kept:
it says FOUND when there is something to find, and anything else but 0 is a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from dabbawala.guard.images import trivy
from dabbawala.guard.images.names import Name

SECONDS_MAX = 300
"""Of one scan (S037)."""
SCANS_MAX = 4
"""Scans at a time."""
FOUND = 10
MESSAGE_MAX = 500
"""Characters of Trivy's complaint that are kept."""
COMPLIANCE = ".compliance"
"""How files of compliance reports end: they are kept for auditors, and not read here."""
SEVERITIES = "CRITICAL,HIGH,MEDIUM"
_SCANNED = ("vuln", "misconfig", "secret")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


class NoTrivy(Exception):
    """There is no such program here; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of one scan. `status` is Trivy's; None where it did not end. `failure` is empty where it worked."""

    name: Name
    status: int | None
    failure: str
    files: tuple[Path, ...]


def program(name: str) -> str:
    """Where Trivy is. Raises NoTrivy."""
    found = shutil.which(name)
    if found is None:
        raise NoTrivy(f"there is no program {name} here: install Trivy, name it by --trivy, or give reports by --scans")
    return found


@dataclass(frozen=True, slots=True)
class Program:
    """Trivy, how long it may take for one image, and the compliance report that it makes besides, if any."""

    path: str
    seconds: float = SECONDS_MAX
    compliance: str = ""


async def scan(found: Mapping[Name, Sequence[str]], folder: Path, program: Program) -> list[Ran]:
    """Scan every image once and file its report under each of the namespaces that run it."""
    folder.mkdir(parents=True, exist_ok=True)
    gate = asyncio.Semaphore(SCANS_MAX)

    async def one(name: Name, namespaces: Sequence[str]) -> Ran:
        files = [folder / file_name(namespace, name) for namespace in namespaces or [""]]
        async with gate:
            status, report, failure = await _run([program.path, *_arguments(name)], program.seconds)
            data, failure = _marked(name, report, failure)
            _file(files, data)
            if program.compliance and not failure:
                failure = await _comply(name, files, program)
        return Ran(name, status, failure, tuple(files))

    return list(await asyncio.gather(*(one(name, namespaces) for name, namespaces in found.items())))


async def _comply(name: Name, files: Sequence[Path], program: Program) -> str:
    """File the compliance report beside the scan; gives why there is none."""
    given = ["image", "--quiet", "--format", "json", "--compliance", program.compliance, "--report", "all"]
    _, report, failure = await _run([program.path, *given, "--", _asked(name)], program.seconds)
    if failure:
        return f"compliance {program.compliance}: {failure}"
    _file([file.with_suffix(COMPLIANCE) for file in files], report)
    return ""


def _file(files: Sequence[Path], data: bytes) -> None:
    for file in files:
        file.write_bytes(data)


def _arguments(name: Name) -> list[str]:
    given = ["image", "--quiet", "--format", "json", "--exit-code", str(FOUND), "--severity", SEVERITIES]
    return [*given, "--scanners", ",".join(_SCANNED), "--image-config-scanners", "misconfig,secret", "--", _asked(name)]


def _asked(name: Name) -> str:
    return f"{name.repository}@{name.digest}" if name.digest else name.key


def file_name(namespace: str, name: Name) -> str:
    """One for each namespace and image; another digest is another image."""
    parts = [namespace, name.repository, name.tag, name.digest.removeprefix("sha256:")[:12]]
    return "__".join(_UNFIT.sub("_", part) for part in parts if part) + ".json"


async def _run(command: list[str], seconds: float) -> tuple[int | None, bytes, str]:
    """Status, output, and why there is none."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(seconds):
            output, complaint = await process.communicate()
    except TimeoutError:
        return None, b"", f"it took longer than {seconds:g} seconds"
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode not in (0, FOUND):
        said = complaint.decode("utf-8", "replace").strip()[-MESSAGE_MAX:]
        return process.returncode, output, f"exit status {process.returncode}: {said}"
    return process.returncode, output, ""


def _marked(name: Name, report: bytes, failure: str) -> tuple[bytes, str]:
    """The report with what was looked for; one that says why where there is none."""
    if not failure:
        try:
            return orjson.dumps({**orjson.loads(report), trivy.SCANNERS: list(_SCANNED)}), ""
        except (orjson.JSONDecodeError, TypeError):
            failure = "what it wrote is no JSON object"
    digests = [f"{name.repository}@{name.digest}"] if name.digest else []
    failed = {"ArtifactName": str(name), "Metadata": {"RepoDigests": digests}, trivy.FAILED: failure}
    return orjson.dumps(failed), failure
