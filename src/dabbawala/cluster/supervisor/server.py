"""The API server of a cluster, put together: store, keys, plugins and the three doors.

The doors: HTTPS on the host for kubectl; a unix socket with TLS, to which every node's Envoy leads 10.96.0.1:443; and
a plain unix socket for the cluster's own components, each with a token of its own. All three enter the same
`APIServer.handle`.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from dabbawala.api import kinds
from dabbawala.api.kind import Kind
from dabbawala.apimachinery.clock import Clock
from dabbawala.apimachinery.meta import Object
from dabbawala.cluster.apiserver import node_streams, rbac_defaults, standard, tokens
from dabbawala.cluster.apiserver import pki as keys
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.apiserver.audit import AuditLog
from dabbawala.cluster.apiserver.authz import RBACAuthorizer
from dabbawala.cluster.apiserver.core import Core
from dabbawala.cluster.apiserver.crds import CustomResources
from dabbawala.cluster.apiserver.http import Front
from dabbawala.cluster.apiserver.metrics import Metrics
from dabbawala.cluster.apiserver.pki import PKI
from dabbawala.cluster.apiserver.resources import KindSet
from dabbawala.cluster.store.errors import StoreError
from dabbawala.cluster.store.store import Store
from dabbawala.cluster.supervisor import bootstrap
from dabbawala.cluster.supervisor.options import Options, write
from dabbawala.cluster.supervisor.paths import Paths

COMPONENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "monitoring": (bootstrap.MONITORING_USER, ()),
}
"""Components in processes of their own: user and groups of the token each gets. Nodes are added by name."""


class CannotServe(Exception):
    """The API server cannot start here; the message says why and what to do."""


@dataclass(slots=True)
class Server:
    core: Core
    app: APIServer
    front: Front
    pki: PKI
    signer: tokens.Signer
    custom: CustomResources
    url: str = ""


async def start(paths: Paths, options: Options, clock: Clock, build: str, cleanup: AsyncExitStack) -> Server:
    """Open the store and listen. Raises CannotServe; `cleanup` undoes what was done."""
    pki, signer = _keys(paths, options, clock)
    try:
        store = await Store.open(paths.state, cluster=paths.name, clock=clock)
    except StoreError as error:
        raise CannotServe(str(error)) from error
    cleanup.push_async_callback(store.close)
    core = Core(store, KindSet(kinds.KINDS), clock, service_accounts_required=True)
    metrics = Metrics()
    audit = AuditLog(paths.logs / "audit.log", clock, core.new_uid, metrics=metrics)
    audit.start()
    cleanup.callback(audit.close)
    app = APIServer(core, standard.plugins(core, signer, build=build, extras=_extras(core, audit, metrics)))
    app.start()
    cleanup.push_async_callback(app.close)
    front = Front(app.handle)
    cleanup.push_async_callback(front.close)
    custom = CustomResources(core, app.client())
    custom.load()
    server = Server(core, app, front, pki, signer, custom)
    await _listen(server, paths, options)
    await _first_objects(server)
    keys.write_kubeconfig(paths.kubeconfig, keys.kubeconfig(pki, server.url, f"dabba-{paths.name}"))
    return server


def _keys(paths: Paths, options: Options, clock: Clock) -> tuple[PKI, tokens.Signer]:
    try:
        pki = keys.ensure(paths.pki, clock.now(), hosts=[options.host_address])
        return pki, tokens.Signer.load(pki.token_key)
    except ValueError as error:
        raise CannotServe(
            f"a key or certificate in {paths.pki} is damaged ({error}); restore the folder from a backup, or remove it:"
            " new ones are made then, and kubeconfigs and tokens of before are void"
        ) from error


def _extras(core: Core, audit: AuditLog, metrics: Metrics) -> standard.Extras:
    streams = node_streams.handlers(core, RBACAuthorizer(core))
    return standard.Extras(subresources=streams, audit=audit, metrics=metrics)


async def _first_objects(server: Server) -> None:
    client = server.app.client()

    async def create(kind: Kind, obj: Object) -> object:
        return await client.create(kind, obj)

    async def update(kind: Kind, obj: Object) -> object:
        return await client.update(kind, obj)

    await bootstrap.apply(client)
    await rbac_defaults.ensure(server.core, create, update)


async def _listen(server: Server, paths: Paths, options: Options) -> None:
    context = tls_context(server.pki)
    try:
        port = await server.front.listen_tcp(options.host_address, options.api_port, context)
    except OSError as error:
        raise CannotServe(
            f"port {options.api_port} of {options.host_address} cannot be used ({_why(error)}); "
            "another program or cluster may have it: choose another with --api-port"
        ) from error
    await server.front.listen_unix(paths.api_socket)
    await server.front.listen_unix(paths.api_tls_socket, context)
    server.url = f"https://{options.host_address}:{port}"
    write(replace(options, api_port=port), paths.options)


def _why(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)


def tls_context(pki: PKI) -> ssl.SSLContext:
    """Our certificate; a client's is asked for, and believed when our own authority signed it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pki.server.certificate, pki.server.key)
    context.load_verify_locations(pki.ca.certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context


def write_tokens(server: Server, paths: Paths, nodes: Iterable[str], clock: Clock) -> None:
    """A token file for every component, and one for each node's agent, under the node's name."""
    for component, (user, groups) in COMPONENTS.items():
        _write_token(server, paths, component, user, groups, clock)
    for node in nodes:
        _write_token(server, paths, node, f"system:node:{node}", ("system:nodes",), clock)


def _write_token(
    server: Server, paths: Paths, component: str, user: str, groups: tuple[str, ...], clock: Clock
) -> None:
    path = paths.token(component)
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(server.signer.sign(tokens.component_claims(user, groups, clock.now())))
    fresh.replace(path)
