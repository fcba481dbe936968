"""The reference services on disk, and their images in the local store."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from dabbawala.demo import releases

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


class Built(Protocol):
    @property
    def id(self) -> str: ...


class ImageStore(Protocol):
    def build(self, context: Path, tag: str, arguments: Mapping[str, str]) -> Built: ...


def folder() -> Path:
    """Beside this package in an installed wheel, or at the top of a checkout."""
    here = Path(__file__).parent
    installed = here / "workloads"
    return installed if installed.is_dir() else here.parents[2] / "workloads"


async def build(store: ImageStore, programs: Path, say: Callable[[str], None]) -> None:
    """Build every version's image from its own Dockerfile; what is built already costs nothing."""
    for service, version in releases.IMAGES:
        tag = f"{service.image}:{version}"
        arguments = {"VERSION": version, "PYTHON": PYTHON}
        await asyncio.to_thread(store.build, programs / service.folder, tag, arguments)
        say(f"image {tag} is built")
