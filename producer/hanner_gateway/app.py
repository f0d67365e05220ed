"""Builds the gateway's ASGI app: settings, client, routes, middleware."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from importlib import metadata
from typing import TYPE_CHECKING, Any

from celery.signals import before_task_publish
from fastapi import FastAPI, Security
from fastapi.security import HTTPBearer
from starlette.middleware.cors import CORSMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from hanner.aio.client import AsyncClient
from hanner.settings import Settings
from hanner.utils import tracing
from hanner_gateway import metrics, page, problems, request_id, swagger
from hanner_gateway.access import AccessMiddleware, ApiKeys, KeyCheck, RateLimiter, parse_rate_limits
from hanner_gateway.hosts import AllowedHosts, HostMiddleware
from hanner_gateway.jobs.progress import ProgressFeed
from hanner_gateway.jobs.runner import JobRunner
from hanner_gateway.jobs.store import JobStore
from hanner_gateway.middleware import RequestMiddleware
from hanner_gateway.models import Models
from hanner_gateway.proxies import parse_proxies
from hanner_gateway.readiness import Readiness
from hanner_gateway.redis_client import close_redis, make_redis
from hanner_gateway.routes import entities, jobs, operation
from hanner_gateway.state import State

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from redis.asyncio import Redis

CANCEL_TIMEOUT = 3.0
"""Seconds that cancelled requests have to revoke their texts and to respond when the gateway stops."""
API_KEY = HTTPBearer(auto_error=False, description="One of HANNER_API_KEYS, if the gateway requires a key.")


def make_app(settings: Settings, provider: "TracerProvider | None" = None) -> FastAPI:
    """Return the gateway as an ASGI app; it connects when it starts.

    Args:
        settings: Broker, queue, limits and keys.
        provider: Creates spans of requests, and is shut down with the app; None disables tracing.

    Raises:
        InvalidSettings: a setting is invalid.
    """
    before_task_publish.connect(request_id.add_to_message, weak=False)  # registered once, however many apps are made
    redis = make_redis(settings)
    hosts, proxies = AllowedHosts(settings.allowed_hosts), parse_proxies(settings.proxies)
    requests: set[asyncio.Task[Any]] = set()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncClient(settings=settings) as client:
            store = JobStore(redis, settings.queue, settings.result_ttl, settings.max_jobs)
            runner, progress = JobRunner(store, client), ProgressFeed(store)
            app.state.hanner = State(settings, client, store, runner, progress, Models(client), Readiness(client))
            running = asyncio.create_task(runner.run())
            try:
                yield
            finally:
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running
                if requests:  # cancelled by uvicorn; they still use the client and send their responses
                    await asyncio.wait(requests, timeout=CANCEL_TIMEOUT)
                await progress.close()
        await close_redis(redis)
        metrics.mark_exited()
        if provider is not None:
            await asyncio.to_thread(tracing.shut_down, provider)

    app = FastAPI(
        title="hanner",
        summary="Chinese named-entity recognition from a queue.",
        version=metadata.version("hanner"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    problems.install(app)
    secured: Any = [Security(API_KEY)]
    """For the OpenAPI document; AccessMiddleware checks the keys, before the body is read."""
    app.include_router(entities.router, dependencies=secured)
    app.include_router(jobs.router, dependencies=secured)
    app.include_router(operation.api_router, dependencies=secured)
    app.include_router(operation.router)
    swagger.install(app)
    page.install(app)
    _add_access(app, settings, redis)
    if origins := [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", request_id.HEADER],
            expose_headers=[request_id.HEADER, "Retry-After", "Location"],
        )
    app.add_middleware(HostMiddleware, allowed_hosts=hosts, trusted_origins=origins)
    tracer = None if provider is None else provider.get_tracer("hanner_gateway")
    app.add_middleware(RequestMiddleware, running=requests, tracer=tracer)
    if proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=proxies)
    return app


def _add_access(app: FastAPI, settings: Settings, redis: "Redis") -> None:
    def limiter(setting: str, name: str) -> RateLimiter | None:
        limits = parse_rate_limits(getattr(settings, setting), setting)
        return RateLimiter(redis, settings.queue, limits, name) if limits else None

    keys = KeyCheck(ApiKeys(settings.api_keys.get_secret_value()), limiter("wrong_key_limit", "wrong-keys"))
    max_body_bytes = {"": settings.max_body_bytes, jobs.PATH: settings.max_upload_bytes}
    app.add_middleware(
        AccessMiddleware, keys=keys, limiter=limiter("rate_limit", "rate"), max_body_bytes=max_body_bytes
    )
