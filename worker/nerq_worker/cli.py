"""`nerq worker`: Celery's worker with the options that nerq wants. Anything after `--` goes to Celery as it stands."""

import importlib.util
import os
import socket
import sys
from typing import Annotated, Any

import typer

from nerq.cli.stack import foreign, worker_command
from nerq.errors import NerqError
from nerq.settings import Settings, variable

NEEDED = ("numpy", "onnxruntime", "tokenizers", "safetensors")


def worker(  # noqa: PLR0913 - options are typer's parameters
    celery: Annotated[list[str] | None, typer.Argument(metavar="-- CELERY OPTION", help="Options of Celery.")] = None,
    broker: Annotated[str | None, typer.Option(help="Redis to use, in place of NERQ_BROKER_URL.")] = None,
    queue: Annotated[str | None, typer.Option(help="Queue to work on, in place of NERQ_QUEUE.")] = None,
    model: Annotated[str | None, typer.Option(help="Folder of a model package, in place of NERQ_MODEL.")] = None,
    concurrency: Annotated[int | None, typer.Option("-c", help="Pool processes; 0 is one per core.", min=0)] = None,
    name: Annotated[str | None, typer.Option("-n", help="Its name in Celery; unlike any other worker's.")] = None,
    loglevel: Annotated[str, typer.Option("--loglevel", "-l", help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
) -> None:
    """Start a worker, and stay.

    SIGTERM and Ctrl-C: running batches are finished, the rest goes back to the queue.
    """
    for module in NEEDED:
        if importlib.util.find_spec(module) is None:
            raise NerqError(f"a worker cannot run here, {module} is missing: pip install 'nerq[worker]'")
    given: dict[str, Any] = {"broker_url": broker, "queue": queue, "model": model, "concurrency": concurrency}
    overrides = {key: value for key, value in given.items() if value is not None}
    Settings.from_env(**overrides)  # what cannot be used is said here, in one sentence
    environment = {key: value for key, value in os.environ.items() if key not in foreign(os.environ)}
    environment |= {variable(key): str(value) for key, value in overrides.items()}
    name = name or f"nerq-{os.getpid()}@{socket.gethostname()}"
    command = worker_command(name, "--loglevel", loglevel.upper(), *(celery or []))
    sys.stdout.flush()
    os.execve(command[0], command, environment)  # noqa: S606 - no shell
