"""Paths that others may change while they are walked: what they lead to is below the root, or nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dabbawala.cluster.sandbox import beneath
from dabbawala.cluster.sandbox.beneath import Links, Make


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    inside = tmp_path / "root"
    (inside / "deep/er").mkdir(parents=True)
    (inside / "deep/file").write_text("inside")
    (inside / "relative").symlink_to("deep/../deep/file")
    (inside / "deep/er/up").symlink_to("../../deep/file")
    (inside / "absolute").symlink_to(tmp_path / "outside/secret")
    (inside / "back-in").symlink_to(inside / "deep/file")
    (inside / "out").symlink_to("../outside/secret")
    (inside / "circle").symlink_to("circle")
    (inside / "proc").symlink_to("/proc/self/root")
    return inside


def text(root: Path, path: str, links: Links = Links.BENEATH) -> str:
    fd = beneath.open_in(str(root), path, links)
    try:
        return Path(beneath.reached(fd)).read_text()
    finally:
        os.close(fd)


def opened() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("path", ["deep/file", "relative", "./deep//er/up", "deep/er/../file"])
def test_links_that_stay_below_are_followed(root: Path, path: str) -> None:
    assert text(root, path) == "inside"


@pytest.mark.parametrize(
    "path", ["absolute", "back-in", "out", "circle", "proc/etc", "../outside/secret", "deep/../../outside/secret"]
)
def test_what_leads_out_is_refused_and_nothing_is_left_open(root: Path, path: str) -> None:
    before = opened()
    for make in (None, Make()):
        with pytest.raises(OSError, match=r"it leads out|symbolic links"):
            beneath.open_in(str(root), path, make=make)
    assert opened() == before


@pytest.mark.parametrize("path", ["relative", "absolute", "deep/er/up", "circle"])
def test_where_no_link_may_be_none_is_followed(root: Path, path: str) -> None:
    with pytest.raises(OSError, match="symbolic links"):
        beneath.open_in(str(root), path, Links.NONE)


def test_a_folder_that_became_a_link_is_not_opened(root: Path) -> None:
    (root / "turned").symlink_to(root.parent / "outside")
    with pytest.raises(OSError, match="symbolic links"):
        beneath.open_in(str(root / "turned"), "secret")


def test_as_after_chroot_the_root_is_all_there_is(root: Path) -> None:
    (root / "absolute-inside").symlink_to("/deep/file")
    assert text(root, "absolute-inside", Links.ROOTED) == "inside"
    assert text(root, "../../../deep/file", Links.ROOTED) == "inside"
    with pytest.raises(FileNotFoundError):
        text(root, "absolute", Links.ROOTED)


def test_what_is_missing_is_made_with_its_mode_whatever_the_umask(root: Path) -> None:
    old = os.umask(0o077)
    try:
        os.close(beneath.open_in(str(root), "new/er/est", make=Make(0o2777)))
        os.close(beneath.open_in(str(root), "new/file", make=Make(file=True)))
    finally:
        os.umask(old)
    assert [stat.S_IMODE((root / path).stat().st_mode) for path in ("new", "new/er/est")] == [0o2777, 0o2777]
    assert stat.S_IMODE((root / "new/file").stat().st_mode) == 0o644


def test_nothing_is_made_or_changed_through_a_link_that_leads_out(root: Path) -> None:
    (root / "trap").symlink_to(root.parent / "outside")
    mode = (root.parent / "outside").stat().st_mode
    for path in ("trap/made", "trap"):
        with pytest.raises(OSError, match="it leads out"):
            beneath.open_in(str(root), path, make=Make(0o777))
    assert os.listdir(root.parent / "outside") == ["secret"]
    assert (root.parent / "outside").stat().st_mode == mode
