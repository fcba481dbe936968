"""Who asks: certificates, tokens and what they are bound to, impersonation; the keys they rest on."""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from dabbawala.apimachinery.clock import VirtualClock
from dabbawala.cluster.apiserver import authn, pki, tokens
from dabbawala.cluster.apiserver.app import APIServer
from dabbawala.cluster.apiserver.authn import CertificateAuthenticator
from dabbawala.cluster.apiserver.request import Request
from dabbawala.cluster.apiserver.tokens import Signer
from tests.cluster.apiserver.guarded import guarded_server, kind, parsed, send, user

WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
TOKEN = "/api/v1/namespaces/default/serviceaccounts/robot/token"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
async def server(clock: VirtualClock, signer: Signer) -> AsyncIterator[APIServer]:
    async with guarded_server(clock, signer) as server:
        await server.client().create(kind("v1", "ServiceAccount"), {"metadata": {"name": "robot"}}, "default")
        yield server


async def who(server: APIServer, token: str, **headers: str) -> Any:
    sent = {"authorization": f"Bearer {token}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    answer = await send(server, "POST", WHO_AM_I, {}, who=None, headers=sent)
    return parsed(answer)["status"]["userInfo"] if answer.status == 201 else answer.status


async def issue(server: APIServer, **spec: Any) -> str:
    answer = await send(server, "POST", TOKEN, {"spec": spec})
    assert answer.status == 201, answer.body
    return str(parsed(answer)["status"]["token"])


async def test_a_service_account_logs_in_by_its_token(server: APIServer) -> None:
    found = await who(server, await issue(server))
    assert found["username"] == "system:serviceaccount:default:robot"
    assert found["groups"] == ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]


async def test_a_token_ends_when_it_said(server: APIServer, clock: VirtualClock) -> None:
    token = await issue(server, expirationSeconds=600)
    clock.advance(599)
    assert (await who(server, token))["username"]
    clock.advance(1)
    assert await who(server, token) == 401


async def test_a_token_dies_with_its_account_even_if_a_namesake_follows(server: APIServer) -> None:
    token = await issue(server)
    client, account = server.client(), kind("v1", "ServiceAccount")
    await client.delete(account, "robot", "default")
    assert await who(server, token) == 401
    await client.create(account, {"metadata": {"name": "robot"}}, "default")
    assert await who(server, token) == 401


async def test_a_token_bound_to_a_pod_says_so_and_dies_with_it(server: APIServer) -> None:
    client, pod = server.client(), kind("v1", "Pod")
    spec = {"serviceAccountName": "robot", "containers": [{"name": "a", "image": "a:1"}]}
    await client.create(pod, {"metadata": {"name": "p"}, "spec": spec}, "default")
    token = await issue(server, boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "p"})
    assert (await who(server, token))["extra"]["authentication.kubernetes.io/pod-name"] == ["p"]
    await client.delete(pod, "p", "default", grace_period_seconds=0)
    assert await who(server, token) == 401


async def test_a_token_for_somebody_else_is_not_for_us(server: APIServer) -> None:
    token = await issue(server, audiences=["vault"])
    assert await who(server, token) == 401
    review = {"spec": {"token": token, "audiences": ["vault", "other"]}}
    answer = parsed(await send(server, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", review))["status"]
    assert (answer["authenticated"], answer["audiences"]) == (True, ["vault"])


async def test_a_token_that_was_tampered_with_is_refused(server: APIServer) -> None:
    token = await issue(server)
    head, body, signature = token.split(".")
    forged = base64.urlsafe_b64encode(base64.urlsafe_b64decode(body + "==").replace(b"robot", b"admin")).decode()
    assert await who(server, f"{head}.{forged.rstrip('=')}.{signature}") == 401
    assert await who(server, "garbage") == 401
    stranger = Signer(ec.generate_private_key(ec.SECP256R1()))
    assert await who(server, stranger.sign(tokens.component_claims("root", ["system:masters"], NOW))) == 401


async def test_a_token_lives_at_least_ten_minutes(server: APIServer) -> None:
    answer = await send(server, "POST", TOKEN, {"spec": {"expirationSeconds": 60}})
    assert answer.status == 422
    assert "may not specify a duration less than 10 minutes" in parsed(answer)["message"]


async def test_components_log_in_by_tokens_of_their_own(server: APIServer, signer: Signer) -> None:
    token = signer.sign(tokens.component_claims("system:node:n1", ["system:nodes"], NOW))
    found = await who(server, token)
    assert (found["username"], found["groups"]) == ("system:node:n1", ["system:nodes", "system:authenticated"])


async def test_a_browser_socket_may_carry_the_token_as_a_protocol(server: APIServer) -> None:
    token = base64.urlsafe_b64encode((await issue(server)).encode()).decode().rstrip("=")
    protocol = f"v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.{token}"
    answer = await send(server, "POST", WHO_AM_I, {}, who=None, headers={"sec-websocket-protocol": protocol})
    assert answer.status == 201


async def test_a_certificate_names_the_user_and_the_groups() -> None:
    subject = ((("organizationName", "ops"),), (("organizationName", "dev"),), (("commonName", "alice"),))
    request = Request("GET", "/", peer_certificate={"subject": subject})
    found = await CertificateAuthenticator().authenticate(request)
    assert found is not None
    assert (found.name, found.groups) == ("alice", ("ops", "dev", "system:authenticated"))


async def test_who_may_impersonate_becomes_the_other_with_their_groups(server: APIServer) -> None:
    headers = {"impersonate-user": "bob", "impersonate-group": "ops,dev"}
    found = parsed(await send(server, "POST", WHO_AM_I, {}, headers=headers))["status"]["userInfo"]
    assert found == {"username": "bob", "groups": ["ops", "dev", "system:authenticated"]}


async def test_who_may_not_impersonate_is_told_so(server: APIServer) -> None:
    answer = await send(server, "POST", WHO_AM_I, {}, who=user("eve"), headers={"impersonate-user": "admin"})
    assert answer.status == 403
    assert 'User "eve" cannot impersonate resource "users"' in parsed(answer)["message"]


async def test_others_can_learn_how_to_verify_our_tokens(server: APIServer) -> None:
    configuration = parsed(await send(server, "GET", "/.well-known/openid-configuration"))
    assert configuration["issuer"] == tokens.ISSUER
    [key] = parsed(await send(server, "GET", "/openid/v1/jwks"))["keys"]
    assert (key["kty"], key["alg"]) == ("EC", "ES256")


def test_keys_are_made_once_and_the_kubeconfig_holds_all_it_needs(tmp_path: Path) -> None:
    made = pki.ensure(tmp_path / "pki", NOW, hosts=["box.local"])
    first = made.server.certificate.read_bytes()
    assert pki.ensure(tmp_path / "pki", NOW, hosts=["box.local"]).server.certificate.read_bytes() == first
    config = yaml.safe_load(pki.kubeconfig(made, "https://127.0.0.1:6443", "demo"))
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
    assert made.token_key.stat().st_mode & 0o777 == 0o600
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.server.certificate, made.server.key)


def test_certificates_are_renewed_before_they_run_out(tmp_path: Path) -> None:
    made = pki.ensure(tmp_path, NOW)
    authority, server = made.ca.certificate.read_bytes(), made.server.certificate.read_bytes()
    pki.ensure(tmp_path, NOW + timedelta(days=340))
    assert made.ca.certificate.read_bytes() == authority
    assert made.server.certificate.read_bytes() != server


def test_a_half_written_pair_is_mended(tmp_path: Path) -> None:
    made = pki.ensure(tmp_path, NOW)
    other = pki.ensure(tmp_path / "other", NOW)
    made.admin.key.write_bytes(other.admin.key.read_bytes())
    pki.ensure(tmp_path, NOW)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(made.admin.certificate, made.admin.key)


def test_everybody_with_a_credential_is_in_the_group_of_the_authenticated() -> None:
    assert authn.authenticated(user("a")).groups.count("system:authenticated") == 1
