"""Composition root of the gateway: settings, client, routes, middleware."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from celery.signals import before_task_publish
from fastapi import FastAPI, Security
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.security import HTTPBearer
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles

from hanner.aio.client import AsyncClient
from hanner.settings import Settings
from hanner.utils import tracing
from hanner_gateway import huggingface, metrics, ner, openapi, problems, scrape
from hanner_gateway import readiness as status
from hanner_gateway import swagger as docs
from hanner_gateway.access import Gate, Keys, RateLimit, rates
from hanner_gateway.jobs import routes as jobs
from hanner_gateway.jobs.runner import Runner
from hanner_gateway.jobs.store import JobStore
from hanner_gateway.middleware import Guard
from hanner_gateway.redis import close, connect
from hanner_gateway.request_id import HEADER, stamp
from hanner_gateway.state import State

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

PAGE = Path(__file__).parent / "static"
KEY = HTTPBearer(auto_error=False, description="One of HANNER_API_KEYS, where the gateway has any.")


def make_app(settings: Settings, provider: "TracerProvider | None" = None) -> FastAPI:
    """Return the gateway as an ASGI app; connections are opened when it starts.

    Args:
        settings: Broker, queue, limits and keys.
        provider: Makes spans of requests, and is shut down in the end; None makes none.

    Raises:
        InvalidSettings: a setting cannot be used.
    """
    before_task_publish.connect(stamp, weak=False)  # once, however many apps are made
    redis = connect(settings)
    keys, items = Keys(settings.api_keys.get_secret_value()), rates(settings.rate_limit)
    limit = RateLimit(redis, settings.queue, items) if items else None

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncClient(settings=settings) as client:
            store = JobStore(redis, settings.queue, settings.result_ttl, settings.max_jobs)
            app.state.hanner = State(settings, client, redis, store, Runner(store, client), status.Readiness(client))
            running = asyncio.create_task(app.state.hanner.runner.run())
            try:
                yield
            finally:
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running
        await close(redis)
        metrics.leave()
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
    secured: Any = [Security(KEY)]
    app.include_router(ner.router, dependencies=secured)
    app.include_router(jobs.router, dependencies=secured)
    app.include_router(huggingface.router, dependencies=secured)
    app.include_router(status.router)
    app.include_router(scrape.router)
    openapi.install(app)
    docs.install(app)
    _serve_page(app)
    longest = {"": settings.max_body_bytes, jobs.PATH: settings.max_upload_bytes}
    app.add_middleware(Gate, keys=keys, limit=limit, longest=longest)
    if settings.cors_origins.strip():
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()],
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", HEADER],
            expose_headers=[HEADER, "Retry-After", "Location"],
        )
    app.add_middleware(Guard, tracer=None if provider is None else provider.get_tracer("hanner_gateway"))
    return app


def _serve_page(app: FastAPI) -> None:
    async def index() -> FileResponse:
        """Return the page on which texts are highlighted as one types."""
        return FileResponse(PAGE / "index.html")

    app.add_api_route("/", index, summary="The page", tags=["page"], response_class=HTMLResponse)
    app.add_api_route("/", index, methods=["HEAD"], include_in_schema=False)
    app.mount("/static", StaticFiles(directory=PAGE), name="static")
