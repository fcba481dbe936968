"""Where a cluster keeps what, and which names and folders it cannot use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dabbawala.cluster.supervisor import paths


def environment(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "XDG_DATA_HOME": str(home / "data"), "XDG_RUNTIME_DIR": str(home / "run")}


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", "a/b", "..", "a" * 33])
def test_a_name_that_is_no_label_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(paths.BadPath, match="lower-case letters, digits and '-'"):
        paths.resolve(name, None, {"HOME": "/h"})


@pytest.mark.parametrize("name", ["a", "default", "a-1", "a" * 32])
def test_a_label_is_a_name(name: str) -> None:
    assert paths.resolve(name, None, {"HOME": "/h"}).name == name


def test_a_run_folder_too_long_for_a_socket_is_refused_with_the_remedy() -> None:
    with pytest.raises(paths.BadPath, match="set XDG_RUNTIME_DIR to a shorter folder"):
        paths.resolve("default", None, {"HOME": "/h", "XDG_RUNTIME_DIR": "/" + "x" * 80})


def test_two_data_folders_never_share_a_run_folder(tmp_path: Path) -> None:
    one, two = (paths.resolve("a", tmp_path / folder, environment(tmp_path)) for folder in ("1", "2"))
    assert one.run != two.run
    assert one.images == two.images, "images are the user's, not the cluster's"


def test_all_folders_are_the_users_own(tmp_path: Path) -> None:
    where = paths.resolve("default", None, environment(tmp_path))
    where.make()
    for folder in (where.data, where.run, where.pki, where.logs, where.images):
        assert folder.stat().st_mode & 0o077 == 0, folder


def test_folders_that_others_could_enter_are_closed_to_them(tmp_path: Path) -> None:
    where = paths.resolve("default", None, environment(tmp_path))
    where.run.mkdir(parents=True)
    for folder in (where.run.parent, where.run):
        folder.chmod(0o777)
    where.make()
    assert [folder.stat().st_mode & 0o777 for folder in (where.run.parent, where.run)] == [0o700, 0o700]


@pytest.mark.parametrize("which", ["run", "its home"])
def test_a_run_folder_that_somebody_else_made_is_refused_before_anything_in_it_is_believed(
    tmp_path: Path, which: str
) -> None:
    """In /tmp anybody may come first; a link to elsewhere stands for what only another user's id shows fully."""
    where = paths.resolve("default", None, environment(tmp_path))
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    target = where.run if which == "run" else where.run.parent
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(theirs)
    for asked in (where.make, lambda: paths.refuse_foreign(where)):
        with pytest.raises(paths.BadPath, match=r"not a folder of your own.*XDG_RUNTIME_DIR"):
            asked()
    assert list(theirs.iterdir()) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to another user")
def test_a_run_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    where = paths.resolve("default", None, environment(tmp_path))
    where.run.mkdir(parents=True)
    os.chown(where.run, 54321, 54321)
    with pytest.raises(paths.BadPath, match="not a folder of your own"):
        where.make()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    where = paths.resolve("default", tmp_path / "file" / "data", environment(tmp_path))
    with pytest.raises(paths.BadPath, match=r"file/data: Not a directory; choose another folder with --data-dir"):
        where.make()


def test_the_clusters_of_a_user_are_found_by_their_folders(tmp_path: Path) -> None:
    assert paths.clusters(environment(tmp_path)) == []
    for name in ("b", "a"):
        paths.resolve(name, None, environment(tmp_path)).make()
    assert paths.clusters(environment(tmp_path)) == ["a", "b"]


def test_without_a_runtime_folder_of_the_session_there_is_one_for_the_user() -> None:
    assert str(paths.resolve("default", None, {"HOME": "/h"}).run).startswith(f"/tmp/dabbawala-{os.getuid()}/default-")
