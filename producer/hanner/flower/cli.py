"""`hanner flower`: Flower over the queue, with a password, a memory, and no word of the texts."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hanner.flower.serve import Service
from hanner.settings import Settings
from hanner.utils.processes import data_folder


def flower(
    options: Annotated[
        list[str] | None, typer.Argument(metavar="-- FLOWER OPTION", help="Options of Flower: --read_only=true …")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; 0.0.0.0 is all. Default: 127.0.0.1.", show_default=False)
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on. Default: 5555.", min=1, max=65535, show_default=False)
    ] = None,
    broker: Annotated[str | None, typer.Option(help="Redis to use, in place of HANNER_BROKER_URL.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of its database and password. Default: ~/.local/share/hanner.")
    ] = None,
) -> None:
    """Show in a browser what workers and requests do; Ctrl-C stops it.

    It asks for a password, which it makes up on the first start and tells then.
    """
    given: dict[str, Any] = {} if broker is None else {"broker_url": broker}
    settings = Settings.from_env(**given)
    arguments = [*(options or [])]
    if host is not None:
        arguments.append(f"--address={host}")
    if port is not None:
        arguments.append(f"--port={port}")
    Service(settings, data or data_folder(), arguments).run()
