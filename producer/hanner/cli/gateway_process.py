"""The gateway as a child process, for `hanner up`. Needs the extra `gateway`."""

import contextlib
import importlib.util
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hanner.errors import HannerError, InvalidSettings
from hanner.utils import processes
from hanner.utils.packaging import install_hint

GATEWAY_LOG = "gateway.log"
MAIN = "from hanner.cli import main; main()"
STOP_TIMEOUT = 15.0
"""Seconds that the gateway has to finish its requests before it is killed."""
POLL_INTERVAL = 0.05
"""Seconds between two checks of a gateway that starts."""


@dataclass(frozen=True)
class ListenAddress:
    """The address that a gateway listens on.

    Attributes:
        host: Host name or IP address.
        port: Port; 0 for any free port.
    """

    host: str = "127.0.0.1"
    port: int = 0


@dataclass(frozen=True)
class GatewayProcess:
    """A running gateway.

    Attributes:
        process: Its process.
        url: Its URL, without a trailing slash.
        log: Its log file; None for this terminal.
    """

    process: "subprocess.Popen[bytes]"
    url: str
    log: Path | None


def is_installed() -> bool:
    """Return whether the extra `gateway` is installed."""
    return all(map(importlib.util.find_spec, ("hanner_gateway", "fastapi", "uvicorn")))


def check_address(host: str, port: int) -> None:
    """Raise an error if the address cannot be bound, before a server reports it late or unclearly.

    Raises:
        InvalidSettings: the host is not an address of this machine.
        HannerError: the port is in use, or binding to it is not permitted.
    """
    try:
        processes.check_port(host, port)
    except socket.gaierror as error:
        raise InvalidSettings(
            f"--host {host} is not an address of this machine: {error.strerror}; name another with --host"
        ) from None
    except OSError as error:
        raise HannerError(
            f"cannot listen on port {port} of {host}: {error.strerror}; choose another with --port"
        ) from None


@contextlib.contextmanager
def run_gateway(listen: ListenAddress, worker_log: Path | None, env: Mapping[str, str]) -> Iterator[GatewayProcess]:
    """Start a gateway, yield it when it answers, and stop it at the end.

    Args:
        listen: The address to listen on.
        worker_log: The worker's log file; the gateway's is in the same folder. None logs to this terminal.
        env: The gateway's environment.

    Raises:
        HannerError: the gateway does not start.
    """
    if not is_installed():
        raise HannerError(f"the gateway is not installed: {install_hint('gateway')}, or use --no-gateway")
    log = None if worker_log is None else worker_log.with_name(GATEWAY_LOG)
    port = listen.port or processes.find_port(listen.host)
    command = [sys.executable, "-P", "-c", MAIN, "gateway", "--host", listen.host, "--port", str(port)]
    with contextlib.ExitStack() as stack:
        output = None if log is None else stack.enter_context(log.open("wb"))
        process = processes.start(command, output=output, env=env)
    url = f"http://{'127.0.0.1' if listen.host == '0.0.0.0' else listen.host}:{port}"  # noqa: S104 - compared only
    try:
        _wait_until_ready(process, url, log)
        yield GatewayProcess(process, url, log)
    finally:
        processes.stop(process, timeout=STOP_TIMEOUT)


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str, log: Path | None) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # http_proxy would get the request
    while True:
        with contextlib.suppress(OSError), direct.open(f"{url}/healthz", timeout=5.0):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(POLL_INTERVAL)
            lines = f"; last lines of its log:\n{processes.last_lines(log)}" if log else ""
            raise HannerError(f"the gateway did not start (exit code {code}){lines}")
