"""What tests of guard share: the real helm and kubectl."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import kubectl


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """helm and kubectl, by name, in one folder."""
    return kubectl.unpack(tmp_path_factory.mktemp("tools"))
