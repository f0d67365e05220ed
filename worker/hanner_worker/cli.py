"""`hanner worker`: Celery's worker with the options that hanner wants; what follows `--` goes to Celery as it stands.

`hanner probe`: whether the worker of this host answers, for health checks of containers.
"""

import importlib.util
import os
import socket
import sys
import time
from typing import Annotated, Any

import typer
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from hanner.cli.local_stack import foreign_celery_variables, worker_command
from hanner.errors import HannerError
from hanner.settings import Settings, variable
from hanner.transport.celery_app import make_celery, redact_url

NEEDED = ("numpy", "onnxruntime", "tokenizers", "safetensors")
LOOK = 0.05
"""Seconds between two looks at whether a probe was answered."""


def worker(  # noqa: PLR0913 - options are typer's parameters
    celery: Annotated[list[str] | None, typer.Argument(metavar="-- CELERY OPTION", help="Options of Celery.")] = None,
    broker: Annotated[str | None, typer.Option(help="Redis to use, in place of HANNER_BROKER_URL.")] = None,
    queue: Annotated[str | None, typer.Option(help="Queue to work on, in place of HANNER_QUEUE.")] = None,
    model: Annotated[str | None, typer.Option(help="Folder of a model package, in place of HANNER_MODEL.")] = None,
    concurrency: Annotated[int | None, typer.Option("-c", help="Pool processes; 0 is one per core.", min=0)] = None,
    name: Annotated[str | None, typer.Option("-n", help="Its name in Celery; unlike any other worker's.")] = None,
    loglevel: Annotated[str, typer.Option("--loglevel", "-l", help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
) -> None:
    """Start a worker, and stay.

    SIGTERM and Ctrl-C: running batches are finished, the rest goes back to the queue.
    """
    for module in NEEDED:
        if importlib.util.find_spec(module) is None:
            raise HannerError(f"a worker cannot run here, {module} is missing: pip install 'hanner[worker]'")
    given: dict[str, Any] = {"broker_url": broker, "queue": queue, "model": model, "concurrency": concurrency}
    overrides = {key: value for key, value in given.items() if value is not None}
    Settings.from_env(**overrides)  # what cannot be used is said here, in one sentence
    environment = {key: value for key, value in os.environ.items() if key not in foreign_celery_variables(os.environ)}
    environment |= {variable(key): str(value) for key, value in overrides.items()}
    name = name or f"hanner-{os.getpid()}@{socket.gethostname()}"
    command = worker_command(name, "--loglevel", loglevel.upper(), *(celery or []))
    sys.stdout.flush()
    os.execve(command[0], command, environment)  # noqa: S606 - no shell


def probe(
    broker: Annotated[str | None, typer.Option(help="Redis to use, in place of HANNER_BROKER_URL.")] = None,
    host: Annotated[str | None, typer.Option(help="Host of the worker; this one when not given.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds in which it must answer.", min=0.1)] = 5.0,
) -> None:
    """Let the worker of this host answer a text in one of its processes, apart from the queue.

    Exit code 0: it did. 1: it did not, or Redis cannot be reached: then restarting the worker mends nothing.
    """
    given: dict[str, Any] = {} if broker is None else {"broker_url": broker}
    settings = Settings.from_env(**given)
    host = host or socket.gethostname()
    app = make_celery(settings)
    began = time.monotonic()
    try:
        name = _probed(app, host, began + timeout)
    except (RedisError, OperationalError, OSError) as error:
        raise HannerError(f"Redis does not answer at {redact_url(settings.broker_url)}: {error}") from None
    finally:
        app.close()
    print(f"{name} answers, {(time.monotonic() - began) * 1000:.0f} ms")  # noqa: T201


def _probed(app: Any, host: str, until: float) -> str:
    """Return the name of the worker that has answered a probe.

    Raises:
        HannerError: none did in time.
    """
    first: dict[str, int] = {}
    while (left := until - time.monotonic()) > 0:
        for reply in app.control.broadcast(
            "hanner_probe",
            arguments={"start": not first},
            pattern=f"*@{host}",
            matcher="glob",
            reply=True,
            timeout=left,
            limit=1,
        ):
            for name, told in reply.items():
                number = first.setdefault(name, int(told["asked"]))
                if told["answered"] >= number:
                    return str(name)
                if told["failed"] >= number:
                    raise HannerError(f"{name} is there, and its process failed on a text; see its log")
        if first:
            time.sleep(LOOK)
    if first:
        raise HannerError(f"{', '.join(first)} is there, and no process of it answered a text in time")
    raise HannerError(f"no worker of {host} answers; one on another host is probed by --host")
