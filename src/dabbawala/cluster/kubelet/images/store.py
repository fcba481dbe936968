"""The local image store: programs by name, shared by all clusters of a user.

    images/content/<id>/image.json   what the image says of its program
    images/content/<id>/root/        its files, at their final paths
    images/tags/<name>               the id that a name means
    images/environments/<digest>/    Python environments, shared by the images that ask for the same packages

An image appears by one rename, under an id made of everything that is in it, so a build that is interrupted leaves
nothing behind but a folder that the next one sweeps. A name always means a whole image.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

DOCKER_HUB = ("docker.io/library/", "docker.io/", "index.docker.io/library/")
BUILDING = ".building-"


@dataclass(frozen=True, slots=True)
class Image:
    """One image. `root` holds its files at their final paths; `python` is its interpreter's version, if it has one.
    `created` is RFC 3339; `notes` say what of its Dockerfile had no effect here."""

    name: str
    id: str
    root: Path
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = ""
    user: str = ""
    exposed: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    python: str = ""
    created: str = ""
    notes: tuple[str, ...] = ()


def normalized(name: str) -> str:
    """`nginx`, `nginx:latest` and `docker.io/library/nginx` are the same image. A digest is part of the name."""
    for prefix in DOCKER_HUB:
        name = name.removeprefix(prefix)
    last = name.rpartition("/")[2]
    return name if ":" in last or "@" in last else f"{name}:latest"


class ImageStore:
    def __init__(self, root: Path) -> None:
        self.root = root
        self._content = root / "content"
        self._tags = root / "tags"
        self.environments = root / "environments"

    def resolve(self, name: str) -> Image | None:
        """The image of that name, or None."""
        try:
            identity = self._tag(normalized(name)).read_text()
        except OSError:
            return None
        return self._read(normalized(name), identity)

    def list(self) -> list[Image]:
        if not self._tags.is_dir():
            return []
        names = sorted(unquote(tag.name) for tag in self._tags.iterdir())
        return [image for name in names if (image := self.resolve(name)) is not None]

    def remove(self, name: str) -> bool:
        """Forget a name; content that no name and no running container needs goes too. False for an unknown name."""
        with self.locked():
            try:
                self._tag(normalized(name)).unlink()
            except FileNotFoundError:
                return False
            self._sweep()
        return True

    def new_root(self) -> Path:
        """An empty folder to build in, on the store's own file system."""
        self._content.mkdir(parents=True, exist_ok=True)
        folder = self._content / f"{BUILDING}{os.getpid()}-{os.urandom(4).hex()}"
        (folder / "root").mkdir(parents=True)
        return folder

    def register(self, built: Image, folder: Path) -> Image:
        """Put a built folder in place under its id, and let its name mean it."""
        described = {name: value for name, value in asdict(built).items() if name not in ("root", "name")}
        (folder / "image.json").write_text(json.dumps(described, indent=1, sort_keys=True))
        target = self._content / built.id
        with self.locked():
            if target.exists():
                shutil.rmtree(folder)
            else:
                folder.rename(target)
            self._tags.mkdir(parents=True, exist_ok=True)
            fresh = self._tags.parent / f"tag-{os.getpid()}.new"
            fresh.write_text(built.id)
            fresh.replace(self._tag(normalized(built.name)))
            self._sweep()
        found = self.resolve(built.name)
        assert found is not None
        return found

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One writer at a time, across processes."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _tag(self, name: str) -> Path:
        return self._tags / quote(name, safe=":@")

    def _read(self, name: str, identity: str) -> Image | None:
        folder = self._content / identity
        try:
            described = json.loads((folder / "image.json").read_text())
        except (OSError, ValueError):
            return None
        for listed in ("entrypoint", "cmd", "exposed", "notes"):
            described[listed] = tuple(described.get(listed) or ())
        return Image(name=name, root=folder / "root", **described)

    def _sweep(self) -> None:
        """Remove content without a name, unless a container still has it mounted, and what dead builds left."""
        named = {tag.read_text() for tag in self._tags.iterdir()}
        for folder in self._content.iterdir():
            builder = folder.name.removeprefix(BUILDING).partition("-")[0]
            if folder.name.startswith(BUILDING):
                wanted = Path(f"/proc/{builder}").exists()
            else:
                wanted = folder.name in named or mounted(folder.name)
            if not wanted:
                shutil.rmtree(folder, ignore_errors=True)


def mounted(identity: str) -> bool:
    """Whether a process that we may look at has the image's files mounted."""
    for process in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            if identity in process.read_text():
                return True
        except OSError:
            continue
    return False
