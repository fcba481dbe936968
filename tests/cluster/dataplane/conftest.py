"""Real Envoys in these tests take Service ports on loopback; in a cluster they have networks of their own."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

NEEDS_LOW_PORTS = {"test_envoys.py", "test_routes.py", "test_services.py", "test_soak.py"}


def low_ports_allowed() -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.80.0.1", 80))
        except PermissionError:
            return False
        except OSError:
            return True
    return True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if low_ports_allowed():
        return
    skip = pytest.mark.skip(reason="ports below 1024 on loopback need root here; e2e tests show the same rootless")
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here and item.path.name in NEEDS_LOW_PORTS:
            item.add_marker(skip)
