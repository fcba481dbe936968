"""catalog: product search of a shop.

    GET  /api/v1/search?q=WORDS              up to ten products; a `interest` cookie says what the visitor looked at
    GET  /api/v1/products/{id}               a product page (a page view)
    POST /api/v1/products/{id}/purchase      (a conversion)
    GET  /health/ready  /health/live  /metrics

What a version does differently is in its own `version.json` and in the model that it names.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import cache
import products
import ranking
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, exposition

DRAIN_SECONDS_MAX = 20.0
BACKLOG = 4096
"""Connections that wait to be accepted. With the usual 128 a busy moment turns new visitors away in the kernel."""
BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Metrics:
    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "http_requests", "Requests answered", ("method", "path", "status"), registry=self.registry
        )
        self.latency = Histogram(
            "http_request_duration_seconds", "Time to answer", ("path",), buckets=BUCKETS, registry=self.registry
        )
        self.page_views = Counter("ecommerce_page_views", "Product pages shown", registry=self.registry)
        self.conversions = Counter("ecommerce_conversions", "Purchases", registry=self.registry)
        self.cached = Counter("search_cache", "Searches by cache outcome", ("outcome",), registry=self.registry)
        info = Gauge("catalog_build_info", "The version that runs", ("version",), registry=self.registry)
        info.labels(version).set(1)


class Catalog:
    def __init__(self, version: dict[str, object], models: Path) -> None:
        self.version = str(version["version"])
        self.personalization = version["personalization"] is True
        self.model = ranking.read(models, str(version["model"]))
        self.cache = cache.make(str(version["cache"]), float(str(version["cache_ttl_seconds"])))
        self.products = products.assortment()
        self.metrics = Metrics(self.version)

    @web.middleware
    async def measure(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        resource = request.match_info.route.resource
        path = resource.canonical if resource else "unknown"
        status = 500
        try:
            response = await self._answer(request, handler)
            status = response.status
            response.headers["X-Version"] = self.version
            return response
        except web.HTTPException as refused:
            status = refused.status
            refused.headers["X-Version"] = self.version
            raise
        finally:
            self.metrics.requests.labels(request.method, path, str(status)).inc()
            self.metrics.latency.labels(path).observe(time.perf_counter() - started)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except (KeyError, ValueError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=500)

    async def search(self, request: web.Request) -> web.Response:
        words = request.query.get("q", "").lower().split()
        if not words:
            return web.json_response({"error": "say what to look for: ?q=WORDS"}, status=400)
        interest = request.cookies.get("interest") if self.personalization else None
        key = f"{' '.join(words)}|{interest}"
        found = self.cache.get(key)
        self.metrics.cached.labels("miss" if found is None else "hit").inc()
        if found is None:
            found = [dict(vars(product)) for product in ranking.rank(self.products, words, self.model, interest)]
            self.cache.put(key, found)
        return web.json_response({"version": self.version, "products": found})

    def _product(self, request: web.Request) -> products.Product:
        number = request.match_info["id"]
        if not number.isdigit() or int(number) >= len(self.products):
            raise web.HTTPNotFound(text=json.dumps({"error": f"no product {number}"}), content_type="application/json")
        return self.products[int(number)]

    async def product(self, request: web.Request) -> web.Response:
        product = self._product(request)
        self.metrics.page_views.inc()
        return web.json_response({**vars(product), "version": self.version})

    async def purchase(self, request: web.Request) -> web.Response:
        product = self._product(request)
        self.metrics.conversions.inc()
        return web.json_response(
            {"bought": product.id, "paid_inr": product.price_inr, "version": self.version}, status=201
        )

    async def health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "healthy", "version": self.version, "model": self.model.name})

    async def expose(self, request: web.Request) -> web.Response:
        body = exposition.generate_latest(self.metrics.registry)
        return web.Response(body=body, headers={"Content-Type": exposition.CONTENT_TYPE_LATEST})

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self.measure])
        application.add_routes(
            [
                web.get("/api/v1/search", self.search),
                web.get("/api/v1/products/{id}", self.product),
                web.post("/api/v1/products/{id}/purchase", self.purchase),
                web.get("/health/ready", self.health),
                web.get("/health/live", self.health),
                web.get("/metrics", self.expose),
            ]
        )
        return application


def main() -> None:
    here = Path(__file__).parent
    service = Catalog(json.loads((here / "version.json").read_text()), here / "models")
    port = int(os.environ.get("PORT", "8080"))
    application = service.application()
    web.run_app(application, port=port, access_log=None, shutdown_timeout=DRAIN_SECONDS_MAX, backlog=BACKLOG)


if __name__ == "__main__":
    main()
