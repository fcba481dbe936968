"""The reference services on disk, and their images in the local store."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from dabbawala.demo import releases

BuildImage = Callable[[Path, str, Mapping[str, str]], object]
"""Build a folder under a tag with arguments; `assembly.build_image` is one."""

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def folder() -> Path:
    """Beside this package in an installed wheel, or at the top of a checkout."""
    here = Path(__file__).parent
    installed = here / "workloads"
    return installed if installed.is_dir() else here.parents[2] / "workloads"


async def build(make: BuildImage, programs: Path, say: Callable[[str], None]) -> None:
    """Build every version's image from its own Dockerfile; what is built already costs nothing."""
    for service, version in releases.IMAGES:
        tag = f"{service.image}:{version}"
        arguments = {"VERSION": version, "PYTHON": PYTHON}
        await asyncio.to_thread(make, programs / service.folder, tag, arguments)
        say(f"image {tag} is built")
