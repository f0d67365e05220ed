"""The command `hanner flower`: Flower with a password, a database, and without texts."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hanner.utils.packaging import require
from hanner.utils.stack_file import data_folder

require("flower")


def flower(
    options: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- FLOWER OPTION", help="Flower's own options, such as --read_only=true."),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; 0.0.0.0 for all. Default: 127.0.0.1.", show_default=False)
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on. Default: 5555.", min=1, max=65535, show_default=False)
    ] = None,
    broker: Annotated[str | None, typer.Option(help="URL of Redis; overrides HANNER_BROKER_URL.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder for its database and password. Default: ~/.local/share/hanner.")
    ] = None,
) -> None:
    """Monitor workers and requests in a browser; stop with Ctrl-C.

    Flower asks for a password. It is generated on the first start, and printed then.
    """
    from hanner.flower.serve import FlowerService
    from hanner.settings import Settings

    given: dict[str, Any] = {} if broker is None else {"broker_url": broker}
    settings = Settings.from_env(**given)
    arguments = [*(options or [])]
    if host is not None:
        arguments.append(f"--address={host}")
    if port is not None:
        arguments.append(f"--port={port}")
    FlowerService(settings, data or data_folder(), arguments).run()
