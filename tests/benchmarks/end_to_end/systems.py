"""Start the systems to measure: hanner's worker and the peers. Each has its own log, and its cold start is timed."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.end_to_end import environments
from benchmarks.end_to_end.load_clients import HttpClient, QueueClient
from hanner.cli.local_redis import EmbeddedServer
from hanner.cli.local_stack import worker_command
from hanner.contract import EXAMPLE_TEXT
from hanner.utils import processes
from support.base_package import base_package

TESTS = Path(__file__).parents[2]
PEERS = "benchmarks.end_to_end.peers"
ONNX = "hanner_inference.engine.onnx:OnnxEngine"
"""As module:attribute, because hanner is not installed in the peers' environments."""
START_TIMEOUT = 180.0
"""Seconds until the first result, which includes the creation of ModelScope's checkpoint."""


@dataclass(frozen=True)
class System:
    """A running server.

    Attributes:
        name: Shown in tables.
        process: Its first process.
        connect: Returns a load client.
        cold: Seconds from the start of its program to its first result.
        log: Its log file.
        redis: The process of its Redis, if it has one.
    """

    name: str
    process: subprocess.Popen[bytes]
    connect: Callable[[], Any]
    cold: float
    log: Path
    redis: subprocess.Popen[bytes] | None = None

    def tree(self) -> list[psutil.Process]:
        """Return its processes without Redis, the first process first."""
        first = psutil.Process(self.process.pid)
        return [first, *first.children(recursive=True)]

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds so far by part."""
        first, *others = map(seconds, self.tree())
        redis = {} if self.redis is None else {"Redis": seconds(psutil.Process(self.redis.pid))}
        return {"first process": first, "its children": sum(others)} | redis

    def pause(self) -> None:
        """Suspend an HTTP server while others are measured. Workers of a queue are idle anyway."""
        if self.redis is None:
            os.killpg(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Continue the processes."""
        os.killpg(self.process.pid, signal.SIGCONT)


def seconds(process) -> float:
    times = process.cpu_times()
    return times.user + times.system


@contextlib.contextmanager
def hanner(model: str, processes: int, scratch: Path) -> Iterator[System]:
    """Run hanner's worker as `hanner up` does, with events on."""
    command = worker_command("hanner-bench@localhost", "--loglevel", "INFO")
    with queued("hanner", command, environment(model, processes), scratch) as system:
        yield system


@contextlib.contextmanager
def plain_celery(python: Path, model: str, processes: int, scratch: Path) -> Iterator[System]:
    """Run the engine in a plain Celery task."""
    celery = [python, "-m", "celery", "-A", f"{PEERS}.celery_app", "worker", "-c", str(processes), "-O", "fair"]
    command = list(map(str, [*celery, "--without-gossip", "--without-mingle", "--loglevel", "WARNING"]))
    with queued("plain Celery", command, peer_environment(model, processes), scratch) as system:
        yield system


@contextlib.contextmanager
def queued(name: str, command: list[str], env: Mapping[str, str], scratch: Path) -> Iterator[System]:
    """Run a worker with its own Redis; its cold start counts from the start of the worker."""
    with EmbeddedServer() as server:
        log = scratch / f"{name}.log"
        with running(command, dict(env) | {"HANNER_BROKER_URL": server.url}, log) as process:
            started = time.perf_counter()
            asyncio.run(wait_for_first_result(lambda: QueueClient(server.url), process, log))
            cold = time.perf_counter() - started
            yield System(name, process, lambda: QueueClient(server.url), cold, log, server.process)


@contextlib.contextmanager
def http(name: str, command: Callable[[int], list[object]], path: str, env, scratch: Path) -> Iterator[System]:
    """Run an HTTP server at a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = scratch / f"{name}.log"
    with running(list(map(str, command(port))), env, log) as process:
        started = time.perf_counter()
        asyncio.run(wait_for_first_result(lambda: HttpClient(port, path), process, log))
        system = System(name, process, lambda: HttpClient(port, path), time.perf_counter() - started, log)
        try:
            yield system
        finally:
            system.resume()


@contextlib.contextmanager
def running(command: list[str], env: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = processes.start(command, output=output, env=env, folder=TESTS)
    try:
        yield process
    finally:
        processes.stop(process, timeout=10)


async def wait_for_first_result(connect, process, log) -> None:
    """Send a text until there is a result; retry after errors."""
    deadline = time.perf_counter() + START_TIMEOUT
    async with connect() as client:
        while True:
            try:
                await asyncio.wait_for(client.send(EXAMPLE_TEXT), START_TIMEOUT)
            except (OSError, RuntimeError, asyncio.IncompleteReadError) as error:
                if process.poll() is not None or time.perf_counter() > deadline:
                    raise RuntimeError(
                        f"the server returned no result; its log ends with:\n{processes.last_lines(log)}"
                    ) from error
                await asyncio.sleep(0.02)
            else:
                return


def environment(model: str, processes: int) -> dict[str, str]:
    variables = {"HANNER_MODEL": model, "HANNER_CONCURRENCY": str(processes), "OMP_NUM_THREADS": "1"}
    return {**os.environ, **variables}


def peer_environment(model: str, processes: int) -> dict[str, str]:
    roots = [TESTS, TESTS.parent / "producer", TESTS.parent / "worker"]
    path = {"PYTHONPATH": os.pathsep.join(map(str, roots)), "HANNER_ENGINE": ONNX, "PEER_PROCESSES": str(processes)}
    return environment(model, processes) | path | {"MODELSCOPE_LOG_LEVEL": "40"}


def peer(name: str, model: str, processes: int, scratch: Path):
    """Return a context manager that runs a peer; its environment must exist."""
    python = environments.python(name)
    env = peer_environment(model, processes)
    scripts = Path(__file__).parent / "peers"
    if name == "celery":
        return plain_celery(python, model, processes, scratch)
    if name == "mosec":
        mosec = [python, scripts / "mosec_app.py", "--address", "127.0.0.1", "--timeout", 120_000, "--port"]
        return http("mosec", lambda port: [*mosec, port], "/inference", env, scratch)
    if name == "litserve":
        command = [python, scripts / "litserve_app.py", "--port"]
        return http("LitServe", lambda port: [*command, port], "/predict", env, scratch)
    if name == "triton":
        command = [python, scripts / "triton_app.py", "--port"]
        path = "/v2/models/ner/generate"
        return http("Triton", lambda port: [*command, port], path, env | {"PEER_SCRATCH": str(scratch)}, scratch)
    gunicorn = [python, "-m", "gunicorn", "--workers", processes, "--timeout", "0", f"{PEERS}.flask_app:app"]
    return http("ModelScope + Flask", lambda port: [*gunicorn, "--bind", f"127.0.0.1:{port}"], "/ner", env, scratch)


def base_size() -> str:
    """Return the folder of a package of BERT-base's size; it is created if it does not exist."""
    return str(base_package())
