"""The whole stack as child processes: a Redis if none is given, and a worker. Used by `hanner up` and `hanner demo`."""

import contextlib
import importlib.util
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hanner.cli import demo_texts
from hanner.cli.gateway_process import Gateway, Listen, serving
from hanner.cli.local_redis import EmbeddedServer
from hanner.client import Client
from hanner.errors import HannerError, TimedOut
from hanner.jobs import wait_for_meta
from hanner.settings import Settings, variable
from hanner.transport.celery_app import make_celery, redact_url
from hanner.utils import processes

if TYPE_CHECKING:
    import subprocess

WORKER_LOG = "worker.log"
STOP_PATIENCE = 15.0
"""Seconds in which a worker may finish what it has begun before it is killed."""
FIRST_ANSWER = 30.0
"""Seconds to wait for the first text's entities, by which the model is known."""
PROBE = demo_texts.FIRST


@dataclass(frozen=True)
class Stack:
    """What runs.

    Attributes:
        settings: The worker's settings; a client with the same ones reaches it.
        server: The embedded server; None when a Redis was given.
        worker: The worker's parent process.
        name: The worker's name in Celery.
        log: Where the worker writes; None for this terminal.
        model: What it runs: NAME@DIGEST8.
        gateway: The gateway's process and address; None when there is none.
    """

    settings: Settings
    server: EmbeddedServer | None
    worker: "subprocess.Popen[bytes]"
    name: str
    log: Path | None
    model: str
    gateway: "Gateway | None" = None

    def wait(self) -> str:
        """Return when one of the processes has ended; say which, with the last lines of its log."""
        ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        _watch(self.worker, lambda code: _death(f"the worker ended (code {code})", self.log), ended)
        if self.server is not None:
            log = self.server.folder / "server.log"
            _watch(self.server.process, lambda code: _death(f"the embedded server ended (code {code})", log), ended)
        if (gateway := self.gateway) is not None:
            _watch(gateway.process, lambda code: _death(f"the gateway ended (code {code})", gateway.log), ended)
        return ended.get()


class Stopped(BaseException):
    """The user, or the system, asked the program to stop."""


@contextlib.contextmanager
def stopping() -> Iterator[None]:
    """Raise Stopped on Ctrl-C, SIGTERM, or when the terminal is closed; once only, so that clearing up is not cut."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(number: int, _: Any) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def running(
    broker: str | None, folder: Path | None, log: Path | None, *, listen: "Listen | None" = None, **overrides: Any
) -> Iterator[Stack]:
    """Start the stack; stop all of it in the end, the worker first.

    Args:
        broker: A Redis that runs already; an embedded server is started when None.
        folder: Where the embedded server keeps its data, and logs go; a temporary folder when None.
        log: Where the worker writes: None for `worker.log` in the folder, `-` for this terminal.
        listen: Where the gateway listens; none is started when None.
        **overrides: Settings of the worker by name; None for those that are not given.

    Raises:
        HannerError: a part does not start; the sentence says which and why.
    """
    _need_worker()
    for key in foreign(os.environ):
        del os.environ[key]  # another Celery app's addresses would win over hanner's, here and in the worker
    given = {name: value for name, value in overrides.items() if value is not None}
    with contextlib.ExitStack() as stack:
        server = None
        if broker is None:
            server = stack.enter_context(EmbeddedServer(folder))
            broker, folder = server.url, server.folder
        settings = Settings.from_env(broker_url=broker, **given)
        path = None if str(log) == "-" else log or (folder or Path.cwd()) / WORKER_LOG
        name = f"hanner-{os.getpid()}@{socket.gethostname()}"
        worker = stack.enter_context(_worker(name, path, _environment(settings, given)))
        _await_worker(settings, name, worker, path)
        gateway = None
        if listen is not None:
            gateway = stack.enter_context(serving(listen, path, _environment(settings, given)))
        yield Stack(settings, server, worker, name, path, _ask_model(settings, path), gateway)


@contextlib.contextmanager
def _worker(name: str, log: Path | None, env: Mapping[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    command = worker_command(name, "--loglevel", "INFO")
    with contextlib.ExitStack() as stack:
        output = None if log is None else stack.enter_context(log.open("wb"))
        process = processes.start(command, output=output, env=env)
    try:
        yield process
    finally:
        processes.stop(process, timeout=STOP_PATIENCE)


def _environment(settings: Settings, given: Mapping[str, Any]) -> dict[str, str]:
    """Return this process's environment with the settings on top."""
    return {**os.environ, **{variable(name): str(getattr(settings, name)) for name in (*given, "broker_url")}}


def worker_command(name: str, *options: str) -> list[str]:
    """Return the command line of a worker.

    Events are on, for `hanner demo`, `hanner bench` and Flower. Gossip is off: each worker would hear every other one's
    events, and nothing here needs them.
    """
    celery = [sys.executable, "-m", "celery", "-A", "hanner_worker", "worker"]
    return [*celery, "-n", name, "-E", "--without-gossip", *options]


def foreign(environ: Mapping[str, str]) -> list[str]:
    """Name the variables of another Celery app, whose addresses would win over hanner's."""
    return [key for key in environ if key.startswith(("CELERY_BROKER", "CELERY_RESULT"))]


def _await_worker(settings: Settings, name: str, worker: "subprocess.Popen[bytes]", log: Path | None) -> None:
    """Ask the worker whether it is there until it says so, or ends."""
    app = make_celery(settings)
    try:
        while worker.poll() is None:
            if app.control.ping(destination=[name], timeout=0.5):
                return
    finally:
        app.close()
    raise HannerError(_death(f"the worker did not start (code {worker.returncode})", log))


def _ask_model(settings: Settings, log: Path | None) -> str:
    """Send one text all the way, which is the proof that everything works; return the model's name."""
    try:
        with Client(settings=settings) as ner:
            meta = wait_for_meta(ner.submit(PROBE, expires=FIRST_ANSWER), FIRST_ANSWER)
    except TimedOut:  # not a failure: after a crash, a queue full of requests may come first
        return f"not known yet, the worker has not answered within {FIRST_ANSWER:g} s (is much queued?)"
    result = meta.get("result")
    if meta["status"] != "SUCCESS" or not isinstance(result, Mapping):
        raise HannerError(_death("the worker could not answer a first text", log))
    return str(result.get("model"))


def _need_worker() -> None:
    for module in ("hanner_worker", "onnxruntime", "tokenizers", "numpy"):
        if importlib.util.find_spec(module) is None:
            raise HannerError(f"a worker cannot run here, {module} is missing: pip install 'hanner[worker]'")


def _watch(process: "subprocess.Popen[bytes]", describe: Any, ended: "queue.SimpleQueue[str]") -> None:
    threading.Thread(target=lambda: ended.put(describe(process.wait())), daemon=True).start()


def _death(what: str, log: Path | None) -> str:
    lines = "" if log is None else processes.last_lines(log)
    return f"{what}; its log ends:\n{lines}" if lines else f"{what}; see what it wrote above" if log is None else what


def address(settings: Settings) -> str:
    """Return the broker's address, fit to be shown."""
    return redact_url(settings.broker_url)
