"""The gateway as a child process of `hanner up`, where the extra `gateway` is installed."""

import contextlib
import importlib.util
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hanner.errors import HannerError
from hanner.utils import processes

GATEWAY_LOG = "gateway.log"
DEFAULT_PORT = 8000
START = "from hanner.cli import main; main()"
STOP_PATIENCE = 15.0
"""Seconds in which the gateway may end the requests it has before it is killed."""
POLL = 0.05
"""Seconds between two looks at a gateway that starts."""


@dataclass(frozen=True)
class Listen:
    """Where a gateway is to listen.

    Attributes:
        host: Its address.
        port: Its port; None is 8000, or a free one where that is taken.
    """

    host: str = "127.0.0.1"
    port: int | None = None


@dataclass(frozen=True)
class Gateway:
    """A gateway that runs.

    Attributes:
        process: Its process.
        url: Its address, without a slash at the end.
        log: Where it writes; None for this terminal.
    """

    process: "subprocess.Popen[bytes]"
    url: str
    log: Path | None


def is_installed() -> bool:
    """Say whether the extra is there."""
    return all(map(importlib.util.find_spec, ("hanner_gateway", "fastapi", "uvicorn")))


@contextlib.contextmanager
def serving(listen: Listen, beside: Path | None, env: Mapping[str, str]) -> Iterator[Gateway]:
    """Start a gateway and stop it in the end; yields when it answers.

    Args:
        listen: Where.
        beside: The worker's log, in whose folder the gateway's lies; None writes to this terminal.
        env: Its environment.

    Raises:
        HannerError: it does not start.
    """
    if not is_installed():
        raise HannerError("the gateway cannot run here: pip install 'hanner[gateway]', or start with --no-gateway")
    log = None if beside is None else beside.with_name(GATEWAY_LOG)
    port = listen.port or _usual_or_free(listen.host)
    command = [sys.executable, "-c", START, "gateway", "--host", listen.host, "--port", str(port)]
    with contextlib.ExitStack() as stack:
        output = None if log is None else stack.enter_context(log.open("wb"))
        process = processes.start(command, output=output, env=env)
    url = f"http://{'127.0.0.1' if listen.host == '0.0.0.0' else listen.host}:{port}"  # noqa: S104 - compared only
    try:
        _wait(process, url, log)
        yield Gateway(process, url, log)
    finally:
        processes.stop(process, timeout=STOP_PATIENCE)


def _wait(process: "subprocess.Popen[bytes]", url: str, log: Path | None) -> None:
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/healthz", timeout=5.0):  # noqa: S310
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(POLL)
            lines = f"; its log ends:\n{processes.last_lines(log)}" if log else ""
            raise HannerError(f"the gateway did not start (code {code}){lines}")


def _usual_or_free(host: str) -> int:
    for port in (DEFAULT_PORT, 0):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    raise HannerError(f"{host} is no address to listen on; name another with --host")
