"""A whole stack as child processes, for `hanner up` and `hanner demo`: Redis if none is given, worker, gateway."""

import contextlib
import importlib.util
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hanner.cli.gateway_process import GatewayProcess, ListenAddress, run_gateway
from hanner.cli.local_redis import LOG, EmbeddedServer
from hanner.client import Client
from hanner.contract import EXAMPLE_TEXT
from hanner.errors import BrokerUnreachable, HannerError, TimedOut
from hanner.jobs import wait_for_meta
from hanner.settings import Settings, variable
from hanner.transport.celery_app import make_celery
from hanner.utils import processes
from hanner.utils.packaging import install_hint

if TYPE_CHECKING:
    import subprocess

WORKER_LOG = "worker.log"
STOP_TIMEOUT = 15.0
"""Seconds that a worker has to finish its running batches before it is killed."""
FIRST_RESULT_TIMEOUT = 30.0
"""Seconds to wait for the result of the first text, which names the model."""


@dataclass(frozen=True)
class LocalStack:
    """A running stack.

    Attributes:
        settings: The worker's settings; a client with the same settings reaches it.
        server: The embedded server; None if a Redis was given.
        worker: The worker's parent process.
        name: The worker's name in Celery.
        log: The worker's log file; None for this terminal.
        model: The id of its model: NAME@DIGEST8.
        gateway: The gateway; None if it was not started.
    """

    settings: Settings
    server: EmbeddedServer | None
    worker: "subprocess.Popen[bytes]"
    name: str
    log: Path | None
    model: str
    gateway: GatewayProcess | None = None

    def wait(self) -> str:
        """Wait until one of the processes exits; return which one, with the last lines of its log."""
        exits: queue.SimpleQueue[str] = queue.SimpleQueue()
        _report_exit(self.worker, "the worker", self.log, exits)
        if self.server is not None:
            _report_exit(self.server.process, "the embedded server", self.server.folder / LOG, exits)
        if self.gateway is not None:
            _report_exit(self.gateway.process, "the gateway", self.gateway.log, exits)
        return exits.get()


class StopRequested(BaseException):
    """The user or the system asked the program to stop."""


@contextlib.contextmanager
def handle_stop_signals() -> Iterator[None]:
    """Raise StopRequested on SIGINT, SIGTERM or SIGHUP, once: later signals do not interrupt the cleanup."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(number: int, _: Any) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise StopRequested(signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def run_stack(
    broker: str | None = None,
    folder: Path | None = None,
    log: Path | None = None,
    *,
    redis_port: int | Callable[[Path], int] | None = None,
    listen: ListenAddress | None = None,
    **overrides: Any,
) -> Iterator[LocalStack]:
    """Start the stack, yield it, and stop it at the end: the worker before Redis.

    Args:
        broker: URL of a running Redis; None starts an embedded server.
        folder: Folder for the embedded server's data and for logs; None for a temporary folder.
        log: The worker's log file: None for `worker.log` in the folder, `-` for this terminal.
        redis_port: Port of the embedded server, or a function that chooses one; see EmbeddedServer.
        listen: The gateway's address; None starts no gateway.
        **overrides: Settings of the worker by name; None counts as not given.

    Raises:
        HannerError: a process does not start; the message names it and the reason.
    """
    _require_worker_packages()
    given = {name: value for name, value in overrides.items() if value is not None}
    with contextlib.ExitStack() as stack:
        server = None
        if broker is None:
            server = stack.enter_context(EmbeddedServer(folder, port=redis_port))
            broker, folder = server.url, server.folder
        settings = Settings.from_env(broker_url=broker, **given)
        _require_redis(settings)
        path = None if str(log) == "-" else log or (folder or Path.cwd()) / WORKER_LOG
        name = f"hanner-{os.getpid()}@{socket.gethostname()}"
        worker = stack.enter_context(_run_worker(name, path, _environment(settings, given)))
        _wait_for_worker(settings, name, worker, path)
        gateway = None
        if listen is not None:
            gateway = stack.enter_context(run_gateway(listen, path, _environment(settings, given)))
        yield LocalStack(settings, server, worker, name, path, _query_model(settings, path), gateway)


@contextlib.contextmanager
def _run_worker(name: str, log: Path | None, env: Mapping[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    command = worker_command(name, "--loglevel", "INFO")
    with contextlib.ExitStack() as stack:
        output = None if log is None else stack.enter_context(log.open("wb"))
        process = processes.start(command, output=output, env=env)
    try:
        yield process
    finally:
        processes.stop(process, timeout=STOP_TIMEOUT)


def _environment(settings: Settings, given: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment of worker and gateway: this process's with the given settings added."""
    settings_given = {variable(name): str(getattr(settings, name)) for name in (*given, "broker_url")}
    return without_celery_variables(os.environ) | settings_given


def worker_command(name: str, *options: str) -> list[str]:
    """Return the command line of a worker.

    Events are enabled for `hanner demo`, `hanner bench` and Flower. Gossip is disabled, because it sends every worker
    the events of all others, which hanner does not use. Only Celery's own command can detach: it repeats itself.
    """
    detaches = not {"-D", "--detach"}.isdisjoint(options)
    worker = ["celery", "-A", "hanner_worker", "worker"] if detaches else ["hanner_worker"]
    return [sys.executable, "-P", "-m", *worker, "-n", name, "-E", "--without-gossip", *options]


def without_celery_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the variables of another Celery app; they set options of Celery's commands."""
    foreign = ("CELERY_", "FORKED_BY_MULTIPROCESSING")
    return {name: value for name, value in environ.items() if not name.startswith(foreign)}


def _require_redis(settings: Settings) -> None:
    """Raise BrokerUnreachable if Redis does not answer; the worker would wait for it."""
    try:
        with Client(settings=settings) as ner:
            ner.backlog()
    except BrokerUnreachable as error:
        advice = f"or unset {variable('broker_url')} and omit --broker, and a Redis is started here"
        raise BrokerUnreachable(f"{error}; {advice}") from None


def _wait_for_worker(settings: Settings, name: str, worker: "subprocess.Popen[bytes]", log: Path | None) -> None:
    """Ping the worker until it answers or exits."""
    app = make_celery(settings)
    try:
        while worker.poll() is None:
            if app.control.ping(destination=[name], timeout=0.5):
                return
    finally:
        app.close()
    raise HannerError(_with_log(f"the worker did not start (exit code {worker.returncode})", log))


def _query_model(settings: Settings, log: Path | None) -> str:
    """Send one text through the whole stack; return the id of the model that answered."""
    try:
        with Client(settings=settings) as ner:
            meta = wait_for_meta(ner.submit(EXAMPLE_TEXT, expires=FIRST_RESULT_TIMEOUT), FIRST_RESULT_TIMEOUT)
    except TimedOut:  # not an error: a given Redis may have a queue full of requests
        return f"unknown, no result within {FIRST_RESULT_TIMEOUT:g} s (is the queue full?)"
    result = meta.get("result")
    if meta["status"] != "SUCCESS" or not isinstance(result, Mapping):
        raise HannerError(_with_log("the worker failed on the first text", log))
    return str(result.get("model"))


def _require_worker_packages() -> None:
    for module in ("hanner_worker", "onnxruntime", "tokenizers", "numpy"):
        if importlib.util.find_spec(module) is None:
            raise HannerError(f"a worker cannot run here, {module} is missing: {install_hint('worker')}")


def _report_exit(
    process: "subprocess.Popen[bytes]", name: str, log: Path | None, exits: "queue.SimpleQueue[str]"
) -> None:
    """Put a message into `exits` when the process exits, from a thread."""

    def report() -> None:
        exits.put(_with_log(f"{name} exited (exit code {process.wait()})", log))

    threading.Thread(target=report, daemon=True).start()


def _with_log(message: str, log: Path | None) -> str:
    if log is None:
        return f"{message}; see its output above"
    lines = processes.last_lines(log)
    return f"{message}; last lines of its log:\n{lines}" if lines else message
