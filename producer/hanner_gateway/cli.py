"""`hanner gateway`: serve HTTP over the queue."""

import copy
import os
import signal
import socket
import sys
import tempfile
from typing import Annotated, Any, NoReturn

import typer
import uvicorn
from uvicorn.config import LOGGING_CONFIG

from hanner.errors import HannerError, InvalidSettings
from hanner.settings import Settings, variable
from hanner.utils.processes import check_port
from hanner_gateway.app import make_app
from hanner_gateway.metrics import FOLDER

STOP_PATIENCE = 10
"""Seconds in which requests that run may end when the gateway is told to stop."""
KEEP_ALIVE = 75
"""Seconds for which an idle connection stays open: longer than a proxy's own 60, so that none is cut in its hands."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def gateway(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
    processes: Annotated[int, typer.Option(help="Processes that share the port.", min=1)] = 1,
    broker: Annotated[str | None, typer.Option(help="Redis to use, in place of HANNER_BROKER_URL.")] = None,
    proxies: Annotated[
        str, typer.Option(help="Addresses of proxies whose X-Forwarded headers count, with commas; * is all.")
    ] = "127.0.0.1",
) -> None:
    """Serve the page, POST /api/v1/ner, jobs and /docs; Ctrl-C stops it when the requests at hand have ended."""
    if broker is not None:
        os.environ[variable("broker_url")] = broker
    settings = Settings.from_env()
    make_app(settings)  # what cannot work is said here, in one sentence, and not by each process
    _check(host, port)
    if host not in LOOPBACK and not settings.api_keys.get_secret_value():
        print("hanner: whoever reaches this address may use it; HANNER_API_KEYS asks for keys", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="hanner-metrics-") as folder:
        if processes > 1:
            os.environ.setdefault(FOLDER, folder)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _stop)
        print(f"The page: http://{host}:{port}/  The API: http://{host}:{port}/docs", flush=True)
        uvicorn.run(
            "hanner_gateway.serve:app",
            host=host,
            port=port,
            workers=processes,
            proxy_headers=True,
            forwarded_allow_ips=proxies,
            access_log=False,
            server_header=False,
            log_config=_logging(),
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=STOP_PATIENCE,
        )


def _stop(*_: object) -> NoReturn:
    """End with 0: uvicorn, when it has ended in good order, raises again the signal that told it to."""
    raise SystemExit(0)


def _check(host: str, port: int) -> None:
    try:
        check_port(host, port)
    except socket.gaierror as error:
        raise InvalidSettings(f"--host {host} is no address of this machine: {error.strerror}") from None
    except OSError as error:
        raise HannerError(
            f"port {port} of {host} cannot be used ({error.strerror}); name another with --port"
        ) from None


def _logging() -> dict[str, Any]:
    """Return uvicorn's logging with our own loggers in it."""
    config: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    config["formatters"]["default"]["fmt"] = "%(asctime)s %(levelname)s %(message)s"
    config["formatters"]["default"]["use_colors"] = False
    config["loggers"]["hanner"] = {"handlers": ["default"], "level": "INFO", "propagate": False}
    return config
