"""All that the API server answers by asking the nodes' agents, as one table of handlers."""

from __future__ import annotations

from dabbawala.cluster.apiserver.core import Core
from dabbawala.cluster.apiserver.kubelet_link import KubeletLink
from dabbawala.cluster.apiserver.logs import Logs
from dabbawala.cluster.apiserver.metrics_api import MetricsAPI
from dabbawala.cluster.apiserver.plugins import SubresourceHandler
from dabbawala.cluster.apiserver.proxy import Proxy
from dabbawala.cluster.apiserver.streams import Streams
from dabbawala.policy.access import Authorizer


def handlers(core: Core, authorizer: Authorizer | None = None) -> dict[tuple[str, str], SubresourceHandler]:
    """exec, attach, portforward, log, proxy and metrics.k8s.io, for `Plugins.subresources`. The authorizer is asked
    once more where a stream is opened by GET; without one everything is allowed (tests)."""
    link = KubeletLink(core.objects)
    return {
        **Streams(core.objects, link, authorizer).handlers(),
        **Logs(core.objects, link).handlers(),
        **Proxy(core.objects, link, core.random).handlers(),
        **MetricsAPI(core.objects, link, core.clock).handlers(),
    }
