"""`hanner up`: runs Redis, a worker and the gateway until Ctrl-C."""

import contextlib
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hanner.cli.errors import UsageError
from hanner.contract import DEFAULT_BROKER_URL, DEFAULT_GATEWAY_PORT, EXAMPLE_TEXT
from hanner.errors import HannerError
from hanner.utils.packaging import shell_command
from hanner.utils.processes import check_port
from hanner.utils.stack_file import RunningStack, data_folder, register_stack

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
    model: Annotated[
        str | None, typer.Option(help="Bundled model, or folder of a package; overrides HANNER_MODEL.")
    ] = None,
    concurrency: Annotated[int | None, typer.Option(help="Pool processes; 0 is one per core.", min=0)] = None,
    gateway: Annotated[
        bool | None, typer.Option(help="Start the HTTP gateway. Default: if its extra is installed.")
    ] = None,
    redis_port: Annotated[
        int | None,
        typer.Option(
            "--redis-port",
            help="Port of the Redis that is started. Default: 6379, or the same other one at each start.",
            min=1,
            max=65535,
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address that the gateway listens on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the gateway.", min=1, max=65535)] = DEFAULT_GATEWAY_PORT,
) -> None:
    """Start Redis, a worker and the gateway; Ctrl-C stops them.

    While it runs, clients and commands on this machine find its Redis without HANNER_BROKER_URL.
    """
    from hanner.cli import gateway_process
    from hanner.cli.local_redis import remember_port
    from hanner.cli.local_stack import StopRequested, handle_stop_signals, run_stack
    from hanner.settings import Settings, read_variable
    from hanner.transport.celery_app import only_address

    broker = broker or read_variable("broker_url", os.environ) or None
    if broker is not None and redis_port is not None:
        raise UsageError("--redis-port is for a Redis that is started here; remove it, or --broker and its variable")
    if broker is not None:
        only_address(Settings.from_env(broker_url=broker))
    folder = _make_folder(data or data_folder())
    listen = None
    if gateway_process.is_installed() if gateway is None else gateway:
        gateway_process.check_address(host, port)
        listen = gateway_process.ListenAddress(host, port)
    try:
        with handle_stop_signals():
            print("Starting …", file=sys.stderr, flush=True)
            chosen = None if broker is not None else _redis_port(redis_port)
            with (
                run_stack(
                    broker, folder, log, redis_port=chosen, listen=listen, model=model, concurrency=concurrency
                ) as stack,
                _register(stack) as is_registered,
            ):
                if stack.server is not None:
                    remember_port(stack.server.folder, stack.server.port)
                print(format_stack(stack, is_registered=is_registered), flush=True)
                raise HannerError(stack.wait())
    except StopRequested:
        with contextlib.suppress(OSError):  # the terminal may be closed
            print("Stopped; all processes have ended.", file=sys.stderr)


def _make_folder(path: Path) -> Path:
    """Create the folder for data and return it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HannerError(f"the folder {path} cannot be made ({error.strerror}); name another with --data") from None
    return path


def _redis_port(requested: int | None) -> int | Callable[[Path], int]:
    """Return the port for Redis, or the function that chooses it if none is requested.

    Raises:
        HannerError: the requested port is in use.
    """
    from hanner.cli.local_redis import choose_port

    if requested is None:
        return choose_port
    try:
        check_port("127.0.0.1", requested)
    except OSError as error:
        raise HannerError(
            f"Redis cannot listen on port {requested}: {error.strerror}; choose another with --redis-port"
        ) from None
    return requested


@contextlib.contextmanager
def _register(stack: "LocalStack") -> Iterator[bool]:
    """Register the stack for clients while the context lasts; yields whether they find it."""
    running = RunningStack(stack.settings.broker_url, stack.gateway.url if stack.gateway else None)
    with contextlib.ExitStack() as registration:
        is_registered = False
        with contextlib.suppress(OSError):  # without the file, the printed variable is necessary
            is_registered = registration.enter_context(register_stack(running))
        yield is_registered


def format_stack(stack: "LocalStack", *, is_registered: bool) -> str:
    """Return the addresses of a running stack, and lines to paste into another terminal.

    Args:
        stack: The stack.
        is_registered: Whether clients find it without HANNER_BROKER_URL.
    """
    from hanner.address import redact_url

    origin = "given" if stack.server is None else f"started here, data in {stack.server.folder}"
    url = redact_url(stack.settings.broker_url)
    return f"""\
hanner is running.

  Redis    {url} ({origin})
  worker   {stack.name} (log: {stack.log or "this terminal"})
  model    {stack.model}
{_format_addresses(stack)}
To use it, paste these lines into another terminal:

{_format_activation()}{_format_export(stack, is_registered=is_registered)}hanner extract {EXAMPLE_TEXT}
{_format_curl(stack)}
In a program, run with `python` in that terminal:

from hanner import Client
with Client() as ner:
    print(ner.extract("{EXAMPLE_TEXT}"))

Press Ctrl-C to stop."""


def _format_activation() -> str:
    """Return the line that puts this environment's commands on PATH; nothing if they are there."""
    if shell_command("hanner") == "hanner":
        return ""
    folder = Path(sys.executable).parent
    activate = folder / "activate"
    if activate.exists():
        return f". {shlex.quote(str(activate))}\n"
    return f'export PATH={shlex.quote(str(folder))}:"$PATH"\n'


def _format_export(stack: "LocalStack", *, is_registered: bool) -> str:
    """Return the line that sets HANNER_BROKER_URL, or nothing if all programs find this Redis without it."""
    from hanner.address import redact_url
    from hanner.settings import variable

    url = stack.settings.broker_url
    redacted = redact_url(url)
    if url.replace("//127.0.0.1", "//localhost") == DEFAULT_BROKER_URL or (is_registered and redacted != url):
        return ""
    comment = "  # with the password" if redacted != url else ""
    return f"export {variable('broker_url')}={shlex.quote(redacted)}{comment}\n"


def _format_addresses(stack: "LocalStack") -> str:
    if stack.gateway is None:
        return ""
    return f"  page     {stack.gateway.url}/\n  API      {stack.gateway.url}/docs\n"


def _format_curl(stack: "LocalStack") -> str:
    if stack.gateway is None:
        return ""
    body = json.dumps({"text": EXAMPLE_TEXT}, ensure_ascii=False)
    return f"curl {stack.gateway.url}/api/v1/ner -H 'Content-Type: application/json' -d '{body}'\n"
