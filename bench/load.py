"""The load client, a process of its own: closed loop, N connections, one request each at a time.

    python bench/load.py JOB        JOB is JSON: {url, pem, ca, connections, seconds, requests, kind, ...}

It writes one JSON line: requests, seconds, per_second, p50_ms, p99_ms. An answer that is not 2xx ends it with its text.
Hand-written on a protocol, because an HTTP library in Python would take more of the machine than what is measured.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import ssl
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import orjson
import uvloop

Job = dict[str, Any]


def pod(name: str) -> dict[str, Any]:
    """As a Deployment's controller would create it; no scheduler takes it, so only the API server works."""
    probe = {"httpGet": {"path": "/health/ready", "port": 8080}, "periodSeconds": 5}
    container = {
        "name": "web",
        "image": "web:1",
        "env": [{"name": "VERSION", "value": "v1"}, {"name": "PORT", "value": "8080"}],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": probe,
        "livenessProbe": probe,
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "web", "tier": "front", "pod-template-hash": "5f6d"}},
        "spec": {
            "schedulerName": "nobody",
            "containers": [container],
            "volumes": [{"name": "scratch", "emptyDir": {}}],
        },
    }


def requests(job: Job) -> Iterator[bytes]:
    """The requests, ready to send, shared by all connections."""
    split = urlsplit(job["url"])
    for number in itertools.count():
        if job["kind"] == "create":
            yield _request("POST", split.netloc, split.path, orjson.dumps(pod(f"{job['prefix']}-{number}")))
        elif job["kind"] == "put":
            key = base64.b64encode(f"/registry/pods/default/{job['prefix']}-{number}".encode()).decode()
            yield _request("POST", split.netloc, split.path, orjson.dumps({"key": key, "value": job["value"]}))
        else:
            query = f"?{split.query}" if split.query else ""
            yield _request("GET", split.netloc, split.path.replace("NUMBER", str(number % job.get("of", 1))) + query)


def _request(method: str, host: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\nuser-agent: load\r\n"
    return head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body


class Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, work: Iterator[bytes], until: float, most: int, latencies: list[float]) -> None:
        self._work = work
        self._until = until
        self._most = most
        self._latencies = latencies
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._buffer = bytearray()
        self._length = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._next()

    def _next(self) -> None:
        self._sent = time.perf_counter()
        if self._sent > self._until or len(self._latencies) >= self._most:
            self._transport.close()
            if not self.done.done():
                self.done.set_result(None)
            return
        self._buffer.clear()
        self._length = 0
        self._transport.write(next(self._work))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._length:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            if head[9:10] != b"2":
                self.done.set_exception(RuntimeError(bytes(self._buffer[:500]).decode()))
                return
            at = head.find(b"content-length: ")
            self._length = end + 4 + int(head[at + 16 :].split(b"\r")[0])
        if len(self._buffer) >= self._length:
            self._latencies.append(time.perf_counter() - self._sent)
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or EOFError("the connection was closed"))


async def run(job: Job) -> dict[str, float]:
    split = urlsplit(job["url"])
    loop = asyncio.get_running_loop()
    context = None
    if split.scheme == "https":
        context = ssl.create_default_context(cafile=job["ca"])
        context.load_cert_chain(job["pem"])
    latencies: list[float] = []
    work = requests(job)
    began = time.perf_counter()
    until = began + job["seconds"]
    callers = []
    for _ in range(job["connections"]):
        made = await loop.create_connection(
            lambda: Caller(work, until, job.get("requests", 10**9), latencies), split.hostname, split.port, ssl=context
        )
        callers.append(made[1].done)
    await asyncio.gather(*callers)
    took = time.perf_counter() - began
    latencies.sort()
    count = len(latencies)
    return {
        "requests": count,
        "seconds": took,
        "per_second": count / took,
        "p50_ms": latencies[count // 2] * 1000,
        "p99_ms": latencies[int(count * 0.99)] * 1000,
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(json.loads(sys.argv[1])))))
