"""`nerq gateway`: serve HTTP over the queue."""

import logging
import os
import tempfile
from typing import Annotated

import typer
import uvicorn

from nerq.settings import Settings, variable
from nerq_gateway.app import make_app
from nerq_gateway.metrics import FOLDER

STOP_PATIENCE = 10
"""Seconds in which requests that run may end when the gateway is told to stop."""


def gateway(
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
    processes: Annotated[int, typer.Option(help="Processes that share the port.", min=1)] = 1,
    broker: Annotated[str | None, typer.Option(help="Redis to use, in place of NERQ_BROKER_URL.")] = None,
    proxies: Annotated[
        str, typer.Option(help="Addresses of proxies whose X-Forwarded headers count, with commas; * for all.")
    ] = "127.0.0.1",
) -> None:
    """Serve the page, POST /api/v1/ner, jobs and /docs; Ctrl-C stops it when running requests have ended."""
    if broker is not None:
        os.environ[variable("broker_url")] = broker
    make_app(Settings.from_env())  # what cannot work is said here, in one sentence, and not by each process
    with tempfile.TemporaryDirectory(prefix="nerq-metrics-") as folder:
        if processes > 1:
            os.environ.setdefault(FOLDER, folder)
        logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
        uvicorn.run(
            "nerq_gateway.serve:app",
            host=host,
            port=port,
            workers=processes,
            proxy_headers=True,
            forwarded_allow_ips=proxies,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=STOP_PATIENCE,
        )
