"""The cache of compiled checks: a start with it says the same as one without, and whatever is wrong with it is as if it
were not there."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from dabbawala.guard import cache
from dabbawala.guard.cache import Cache
from dabbawala.guard.engine import Engine
from tests.guard.test_policies import NOW

MANIFEST = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  containers: [{name: web, image: nginx, securityContext: {privileged: true}}]
"""
SCRIPT = """
import os, sys
from dabbawala.cli.main import dabba
status = dabba(["guard", "scan", "pod.yaml", "-o", "json", "-f", "out.json"], standalone_mode=False)
names = ("cel_expr_python", "google.protobuf", "aiohttp", "cryptography", "rich", "asyncio")
print(status, *[name for name in names if name in sys.modules])
"""


def scan(folder: Path, **environment: str) -> str:
    """The status of a scan in a process of its own, and which expensive packages it loaded."""
    (folder / "pod.yaml").write_text(MANIFEST)
    given = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), **environment}
    run = subprocess.run([sys.executable, "-c", SCRIPT], cwd=folder, env=given, capture_output=True, text=True)
    assert not run.returncode, run.stderr
    return run.stdout.strip()


def report(folder: Path) -> list[object]:
    found: list[object] = orjson.loads((folder / "out.json").read_bytes())["findings"]
    return found


def test_the_second_start_compiles_nothing_and_says_the_same(tmp_path: Path) -> None:
    assert scan(tmp_path) == "1 cel_expr_python google.protobuf"
    first = report(tmp_path)
    assert scan(tmp_path) == "1"
    assert report(tmp_path) == first
    assert len(first) > 10


def test_nobody_else_may_read_or_write_what_is_kept(tmp_path: Path) -> None:
    kept = filled(tmp_path / "ours")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == 0o700
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert [path for path in (tmp_path / "ours").iterdir() if path != kept] == []


def filled(folder: Path) -> Path:
    """A cache with something in it."""
    made = Cache(folder)
    compile_one(made)
    made.save()
    (kept,) = folder.iterdir()
    return kept


def compile_one(made: Cache) -> None:
    assert not list(Engine([made.checks["WL-01"]], now=NOW, store=made.store).faults)


def is_used(folder: Path) -> bool:
    made = Cache(folder)
    compile_one(made)
    return not made.store.learnt


def test_what_is_kept_is_used(tmp_path: Path) -> None:
    filled(tmp_path / "ours")
    assert is_used(tmp_path / "ours")
    assert set(Cache(tmp_path / "ours").checks) == set(Cache(None).checks)


@pytest.mark.parametrize("broken", [b"", b"nonsense", b"dabbawala guard 1\n", b"dabbawala guard 1\n\0\0\0\0\xe9"])
def test_what_is_broken_is_as_if_it_were_not_there(tmp_path: Path, broken: bytes) -> None:
    kept = filled(tmp_path / "ours")
    kept.write_bytes(broken)
    assert not is_used(tmp_path / "ours")
    filled(tmp_path / "ours")
    assert is_used(tmp_path / "ours")


def test_any_changed_byte_is_noticed(tmp_path: Path) -> None:
    kept = filled(tmp_path / "ours")
    whole = kept.read_bytes()
    for at in range(0, len(whole), len(whole) // 37):
        kept.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert not is_used(tmp_path / "ours")


def test_what_others_may_write_to_is_not_believed(tmp_path: Path) -> None:
    kept = filled(tmp_path / "ours")
    kept.chmod(0o620)
    assert not is_used(tmp_path / "ours")
    kept.chmod(0o600)
    (tmp_path / "ours").chmod(0o777)
    assert not is_used(tmp_path / "ours")
    (tmp_path / "ours").chmod(0o700)
    assert is_used(tmp_path / "ours")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    kept = filled(tmp_path / "ours")
    kept.rename(tmp_path / "elsewhere")
    kept.symlink_to(tmp_path / "elsewhere")
    assert not is_used(tmp_path / "ours")


def test_of_another_state_of_the_files_nothing_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path / "ours")
    true = cache.stamp()
    monkeypatch.setattr(cache, "stamp", lambda: (*true, "a file more"))
    assert not is_used(tmp_path / "ours")


def test_where_nothing_can_be_kept_all_works_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    made = Cache(tmp_path / "file")
    compile_one(made)
    made.save()
    assert scan(tmp_path, XDG_CACHE_HOME=str(tmp_path / "file")).startswith("1 ")
    assert scan(tmp_path, XDG_CACHE_HOME="relative", HOME="").startswith("1 ")


def test_of_several_writers_one_wins_and_readers_see_a_whole_file(tmp_path: Path) -> None:
    """Each process saves what it has learnt, at the same time as others and again and again."""
    script = (
        "import sys\nfrom pathlib import Path\nfrom tests.guard import test_cache\n"
        "made = test_cache.Cache(Path(sys.argv[1]))\ntest_cache.compile_one(made)\n"
        "for _ in range(20):\n made.store.learnt = True\n made.save()\n"
        " assert test_cache.is_used(Path(sys.argv[1]))\n"
    )
    words = [sys.executable, "-c", script, str(tmp_path / "ours")]
    running = [subprocess.Popen(words, cwd=Path(__file__).parents[2]) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert len(list((tmp_path / "ours").iterdir())) == 1


def test_installations_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "ours"
    folder.mkdir(mode=0o700)
    for number in range(cache.FILES_MAX + 3):
        (folder / f"guard-{number:08x}.cache").write_bytes(b"old")
        os.utime(folder / f"guard-{number:08x}.cache", (number, number))
    made = Cache(folder)
    compile_one(made)
    made.save()
    assert len(list(folder.iterdir())) == cache.FILES_MAX
    assert is_used(folder)
