"""`hanner up`: runs Redis, a worker and the gateway until Ctrl-C."""

import contextlib
import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from hanner.contract import DEFAULT_BROKER_URL, DEFAULT_GATEWAY_PORT, EXAMPLE_TEXT
from hanner.errors import HannerError
from hanner.utils.packaging import shell_command
from hanner.utils.processes import data_folder

if TYPE_CHECKING:
    from hanner.cli.local_stack import LocalStack


def up(
    broker: Annotated[
        str | None,
        typer.Option(help="URL of Redis; overrides HANNER_BROKER_URL. Default: start one, on port 6379 if it is free."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder for Redis's data and for logs. Default: ~/.local/share/hanner.")
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(help="File for the worker's log; - for this terminal. Default: worker.log in --data."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Folder of a model package; overrides HANNER_MODEL.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Pool processes; 0 is one per core.", min=0)] = None,
    gateway: Annotated[
        bool | None, typer.Option(help="Start the HTTP gateway. Default: if its extra is installed.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address that the gateway listens on.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(help=f"Port of the gateway. Default: {DEFAULT_GATEWAY_PORT}, or any free port.", min=1, max=65535),
    ] = None,
) -> None:
    """Start Redis, a worker and the gateway; Ctrl-C stops them."""
    from hanner.cli import gateway_process
    from hanner.cli.local_stack import StopRequested, handle_stop_signals, run_stack
    from hanner.settings import read_variable

    broker = broker or read_variable("broker_url", os.environ) or None
    folder = data or data_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with_gateway = gateway_process.is_installed() if gateway is None else gateway
    listen = gateway_process.ListenAddress(host, port) if with_gateway else None
    try:
        with handle_stop_signals():
            print("Starting …", file=sys.stderr, flush=True)
            redis_port = urlsplit(DEFAULT_BROKER_URL).port or 0
            with run_stack(
                broker, folder, log, redis_port=redis_port, listen=listen, model=model, concurrency=concurrency
            ) as stack:
                print(format_stack(stack), flush=True)
                raise HannerError(stack.wait())
    except StopRequested:
        with contextlib.suppress(OSError):  # the terminal may be closed
            print("Stopped; all processes have ended.", file=sys.stderr)


def format_stack(stack: "LocalStack") -> str:
    """Return the addresses of a running stack, and commands that use it from another terminal."""
    from hanner.address import redact_url

    origin = "given" if stack.server is None else f"started here, data in {stack.server.folder}"
    url = redact_url(stack.settings.broker_url)
    return f"""\
hanner is running.

  Redis    {url} ({origin})
  worker   {stack.name} (log: {stack.log or "this terminal"})
  model    {stack.model}
{_format_addresses(stack)}
Call it from another terminal:

{_format_export(stack)}  {shell_command("hanner")} extract {EXAMPLE_TEXT}
{_format_curl(stack)}
or from a program, run with {shell_command("python")}:

  from hanner import Client
  with Client() as ner:
      print(ner.extract("{EXAMPLE_TEXT}"))

Press Ctrl-C to stop."""


def _format_export(stack: "LocalStack") -> str:
    """Return the line that sets HANNER_BROKER_URL and its reason, or nothing if clients find this Redis without it."""
    from hanner.address import redact_url
    from hanner.settings import variable

    url = stack.settings.broker_url
    if url.replace("//127.0.0.1", "//localhost") == DEFAULT_BROKER_URL:
        return ""
    redacted = redact_url(url)
    port = urlsplit(DEFAULT_BROKER_URL).port
    reason = "clients need its address" if stack.server is None else f"port {port} is in use, so set"
    comment = "" if redacted == url else "  # with the password"
    return f"  # {reason}:\n  export {variable('broker_url')}={shlex.quote(redacted)}{comment}\n"


def _format_addresses(stack: "LocalStack") -> str:
    if stack.gateway is None:
        return ""
    return f"  page     {stack.gateway.url}/\n  API      {stack.gateway.url}/docs\n"


def _format_curl(stack: "LocalStack") -> str:
    if stack.gateway is None:
        return ""
    body = json.dumps({"text": EXAMPLE_TEXT}, ensure_ascii=False)
    return f"  curl {stack.gateway.url}/api/v1/ner -H 'Content-Type: application/json' -d '{body}'\n"
