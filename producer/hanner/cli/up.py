"""`hanner up`: Redis if none is given, and a worker, until Ctrl-C."""

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from hanner.cli import gateway_process as http
from hanner.cli.gateway_process import Listen
from hanner.cli.local_stack import PROBE, Stack, Stopped, address, running, stopping
from hanner.errors import HannerError
from hanner.settings import variable
from hanner.utils.processes import data_folder


def up(
    broker: Annotated[
        str | None, typer.Option(help="Redis to use, in place of HANNER_BROKER_URL; without both, one is started.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the started Redis's data and of logs. Default: ~/.local/share/hanner."),
    ] = None,
    log: Annotated[
        Path | None, typer.Option(help="File for the worker's log, - for this terminal. Default: worker.log in --data.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Folder of a model package, in place of HANNER_MODEL.")] = None,
    concurrency: Annotated[int | None, typer.Option(help="Pool processes; 0 is one per core.", min=0)] = None,
    gateway: Annotated[bool | None, typer.Option(help="Serve HTTP too. Default: where the extra is installed.")] = None,
    host: Annotated[str, typer.Option(help="Address that HTTP is served on.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(help="Port of it. Default: 8000, or a free one.", min=1, max=65535)
    ] = None,
) -> None:
    """Start everything and keep it running; Ctrl-C stops all of it."""
    broker = broker or os.environ.get(variable("broker_url")) or None
    folder = data or data_folder()
    folder.mkdir(parents=True, exist_ok=True)
    listen = Listen(host, port) if (http.is_installed() if gateway is None else gateway) else None
    try:
        with stopping():
            print("Starting …", file=sys.stderr, flush=True)
            with running(broker, folder, log, listen=listen, model=model, concurrency=concurrency) as stack:
                print(_described(stack), flush=True)
                raise HannerError(stack.wait())
    except Stopped:
        with contextlib.suppress(OSError):  # the terminal may be gone
            print("Stopped; no process is left.", file=sys.stderr)


def _addresses(stack: Stack) -> str:
    if stack.gateway is None:
        return ""
    return f"  page     {stack.gateway.url}/\n  API      {stack.gateway.url}/docs\n"


def _curl(stack: Stack) -> str:
    if stack.gateway is None:
        return ""
    body = json.dumps({"text": PROBE}, ensure_ascii=False)
    return f"  curl {stack.gateway.url}/api/v1/ner -H 'Content-Type: application/json' -d '{body}'\n"


def _described(stack: Stack) -> str:
    redis = "given" if stack.server is None else f"started here, data in {stack.server.folder}"
    where = address(stack.settings)
    return f"""\
hanner is up.

  Redis    {where} ({redis})
  worker   {stack.name} (log: {stack.log or "this terminal"})
  model    {stack.model}
{_addresses(stack)}
Call it from a shell:

  hanner extract --broker {where} {PROBE}
{_curl(stack)}
or from Python:

  from hanner import Client
  with Client("{where}") as ner:
      print(ner.extract("{PROBE}"))

Ctrl-C stops all of it."""
