"""The commands `hanner worker`, which starts Celery's worker, and `hanner probe`, a health check for containers."""

import importlib.util
import os
import socket
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hanner.errors import BrokerUnreachable, HannerError
from hanner.utils.packaging import install_hint

if TYPE_CHECKING:
    from concurrent.futures import Future

    from hanner.settings import Settings

REQUIRED_MODULES = ("numpy", "onnxruntime", "tokenizers", "safetensors")
POLL_INTERVAL = 0.05
"""Seconds between two polls of a probe's state."""


def worker(  # noqa: PLR0913 - options are typer's parameters
    celery: Annotated[list[str] | None, typer.Argument(metavar="-- CELERY OPTION", help="Options for Celery.")] = None,
    broker: Annotated[str | None, typer.Option(help="URL of Redis; overrides HANNER_BROKER_URL.")] = None,
    queue: Annotated[str | None, typer.Option(help="Queue to consume; overrides HANNER_QUEUE.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Bundled model, or folder of a package; overrides HANNER_MODEL.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", "-c", help="Pool processes; 0 is one per core.", min=0)
    ] = None,
    name: Annotated[str | None, typer.Option("--name", "-n", help="Unique name of the worker in Celery.")] = None,
    loglevel: Annotated[str, typer.Option("--loglevel", "-l", help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
) -> None:
    """Run a worker in the foreground.

    On SIGTERM and Ctrl-C it finishes running batches and requeues the rest.

    Arguments after -- are passed to Celery's worker.
    """
    from hanner.cli.local_stack import without_celery_variables, worker_command
    from hanner.settings import Settings, variable

    for module in REQUIRED_MODULES:
        if importlib.util.find_spec(module) is None:
            raise HannerError(f"a worker cannot run here, {module} is missing: {install_hint('worker')}")
    options: dict[str, Any] = {"broker_url": broker, "queue": queue, "model": model, "concurrency": concurrency}
    overrides = {key: value for key, value in options.items() if value is not None}
    Settings.from_env(**overrides)  # report invalid settings before Celery starts
    environment = without_celery_variables(os.environ)
    environment |= {variable(key): str(value) for key, value in overrides.items()}
    name = name or f"hanner-{os.getpid()}@{socket.gethostname()}"
    command = worker_command(name, "--loglevel", loglevel.upper(), *(celery or []))
    sys.stdout.flush()
    os.execve(command[0], command, environment)  # noqa: S606 - no shell


def probe(
    broker: Annotated[str | None, typer.Option(help="URL of Redis; overrides HANNER_BROKER_URL.")] = None,
    host: Annotated[str | None, typer.Option(help="Host of the worker; by default this host.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer.", min=0.1)] = 5.0,
) -> None:
    """Check that the worker on this host can run its model, without using the queue.

    Exit code 0: the worker is healthy.

    Exit code 1: it does not answer, or Redis is unreachable.
    """
    from concurrent.futures import ThreadPoolExecutor

    from hanner.settings import Settings

    overrides: dict[str, Any] = {} if broker is None else {"broker_url": broker}
    parts = Settings.from_env(**overrides).per_address()
    host = host or socket.gethostname()
    started = time.monotonic()
    if len(parts) == 1:
        name = _probe(parts[0], host, started + timeout)
    else:
        with ThreadPoolExecutor(len(parts)) as threads:
            probes = [threads.submit(_probe, part, host, started + timeout) for part in parts]
        name = _first_name([probe.result() for probe in probes if probe.exception() is None], probes)
    print(f"{name} answers, {(time.monotonic() - started) * 1000:.0f} ms")  # noqa: T201


def _first_name(names: "list[str]", probes: "list[Future[str]]") -> str:
    """Return the name of the worker, which may not serve addresses that do not answer.

    Raises:
        HannerError: it serves none, or does not answer at an address that does.
    """
    errors = [error for probe in probes if (error := probe.exception()) is not None]
    others = [error for error in errors if not isinstance(error, BrokerUnreachable)]
    if others or not names:
        raise (others or errors)[0]
    for error in errors:
        print(f"hanner: {error}", file=sys.stderr)  # noqa: T201
    return names[0]


def _probe(settings: "Settings", host: str, deadline: float) -> str:
    """Return the name of the worker on a host that can run its model, at one address.

    Raises:
        BrokerUnreachable: Redis does not answer.
        HannerError: no worker succeeds before the deadline.
    """
    from kombu.exceptions import OperationalError
    from redis.exceptions import RedisError

    from hanner.address import redact_url
    from hanner.transport.celery_app import make_celery

    app = make_celery(settings)
    try:
        return _await_probe(app, host, deadline)
    except (RedisError, OperationalError, OSError) as error:
        raise BrokerUnreachable(f"Redis does not answer at {redact_url(settings.broker_url)}: {error}") from None
    finally:
        app.close()


def _await_probe(app: Any, host: str, deadline: float) -> str:
    """Start a probe and return the name of the worker that has finished it.

    Raises:
        HannerError: if no worker succeeds before the deadline.
    """
    probes: dict[str, int] = {}  # number of our probe, by worker
    while (remaining := deadline - time.monotonic()) > 0:
        for name, status in _ask_workers(app, host, start=not probes, timeout=remaining):
            number = probes.setdefault(name, int(status["started"]))
            if status["succeeded"] >= number:
                return name
            if status["failed"] >= number:
                raise HannerError(f"worker {name} is running, but its model failed on a text; see the worker's log")
        time.sleep(POLL_INTERVAL)
    if probes:
        raise HannerError(
            f"worker {', '.join(probes)} is running, but none of its processes answered in time; see the worker's log"
        )
    raise HannerError(f"no worker on {host} answers; start one, or name its host with --host")


def _ask_workers(app: Any, host: str, *, start: bool, timeout: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the first reply of hanner's workers on a host: the worker's name, and the state of its probes."""
    from hanner.queue.stats import read_worker_names

    names = [name for name in read_worker_names(app.backend.client) if name.partition("@")[2] == host]
    if not names:
        return
    replies = app.control.broadcast("hanner_probe", {"start": start}, names, reply=True, timeout=timeout, limit=1)
    for reply in replies or ():
        for name, status in reply.items():
            if "started" in status:  # a worker of another app with the same name replies with an error
                yield str(name), status
