"""`hanner gateway`: serves the HTTP API and the demo page with uvicorn."""

import contextlib
import copy
import os
import resource
import signal
import sys
import tempfile
from typing import Annotated, Any, NoReturn

import typer

from hanner.contract import DEFAULT_GATEWAY_PORT
from hanner.utils.packaging import require

require("fastapi", "uvicorn")

KEEP_ALIVE = 75
"""Seconds until an idle connection is closed; longer than the 60 s of common proxies, so that they close it first."""


def gateway(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all interfaces.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = DEFAULT_GATEWAY_PORT,
    processes: Annotated[int, typer.Option(help="Number of processes that share the port.", min=1)] = 1,
    broker: Annotated[str | None, typer.Option(help="URL of Redis; overrides HANNER_BROKER_URL.")] = None,
    proxies: Annotated[
        str | None,
        typer.Option(help="Addresses of proxies whose X-Forwarded headers are trusted; overrides HANNER_PROXIES."),
    ] = None,
    graceful_timeout: Annotated[
        int, typer.Option(help="Seconds that running requests have to finish when the gateway stops.", min=0)
    ] = 10,
) -> None:
    """Serve the HTTP API and the demo page.

    SIGTERM and Ctrl-C stop it after running requests have finished. Those that take too long get a response with status
    503 and Retry-After.
    """
    import uvicorn

    from hanner.cli.gateway_process import check_address
    from hanner.settings import Settings, variable
    from hanner_gateway.app import make_app
    from hanner_gateway.hosts import is_loopback
    from hanner_gateway.metrics import MULTIPROCESS_DIR
    from hanner_gateway.protocol import LimitedProtocol

    for name, value in (("broker_url", broker), ("proxies", proxies)):
        if value is not None:
            os.environ[variable(name)] = value  # the app reads its settings from the environment, in each process
    settings = Settings.from_env()
    if is_loopback(host) and not settings.allowed_hosts:
        os.environ[variable("allowed_hosts")] = "localhost"
    _raise_open_files()
    make_app(settings)  # reports an invalid setting once, before any process starts
    check_address(host, port)
    if not is_loopback(host) and not settings.api_keys.get_secret_value():
        print(
            f"hanner: anyone who can reach {host} may use the API; set HANNER_API_KEYS to require keys", file=sys.stderr
        )
    with tempfile.TemporaryDirectory(prefix="hanner-metrics-") as folder:
        if processes > 1:
            os.environ.setdefault(MULTIPROCESS_DIR, folder)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _exit)
        print(f"Demo page: http://{host}:{port}/  API: http://{host}:{port}/docs", flush=True)
        uvicorn.run(
            "hanner_gateway.asgi:app",
            host=host,
            port=port,
            workers=processes,
            proxy_headers=False,  # the app has HANNER_PROXIES; uvicorn's default trusts all programs of this machine
            http=LimitedProtocol,
            access_log=False,
            server_header=False,
            log_config=_log_config(),
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=graceful_timeout,
        )


def _raise_open_files() -> None:
    """Allow as many connections as the hard limit: the soft one is often 1,024, which idle connections exhaust."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _exit(*_: object) -> NoReturn:
    """Exit with code 0: after a clean shutdown, uvicorn sends itself the stop signal a second time."""
    raise SystemExit(0)


def _log_config() -> dict[str, Any]:
    """Return uvicorn's logging configuration with hanner's loggers added."""
    from uvicorn.config import LOGGING_CONFIG

    config: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    config["formatters"]["default"]["fmt"] = "%(asctime)s %(levelname)s %(message)s"
    config["formatters"]["default"]["use_colors"] = False
    config["loggers"]["hanner"] = {"handlers": ["default"], "level": "INFO", "propagate": False}
    return config
