"""Serve the metrics over HTTP, on a thread of the parent that starts after the pool was forked."""

import logging
import socket

from prometheus_client import CollectorRegistry, start_http_server

from hanner.errors import InvalidSettings
from hanner.utils import fork
from hanner.utils.processes import check_port

logger = logging.getLogger(__name__)


class MetricsEndpoint:
    """Serves http://HOST:PORT/metrics.

    Args:
        registry: the metrics.
        host: address to listen on.
        port: port to listen on.

    Raises:
        InvalidSettings: if the address or the port cannot be used.
    """

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        self._registry = registry
        self._host = host
        self._port = port
        self._socket: socket.socket | None = None
        _check(host, port)

    def start(self) -> None:
        """Start to serve. Serving ends with the process, so that the last seconds of a warm shutdown are included."""
        try:
            server, _ = start_http_server(self._port, self._host, self._registry)
        except OSError as error:  # the port was taken since the check; a worker without metrics is better than none
            logger.error("metrics are not served on %s:%d: %s", self._host, self._port, error.strerror)  # noqa: TRY400
            return
        self._socket = server.socket
        fork.register(self)
        logger.info("metrics: http://%s:%d/metrics", self._host, self._port)

    def stop(self) -> None:
        """Do nothing: metrics are served until the process ends."""

    def reset_after_fork(self) -> None:
        """Close the port in a replacement process of the pool, which may outlive the parent."""
        if self._socket is not None:
            self._socket.close()


def _check(host: str, port: int) -> None:
    try:
        check_port(host, port)
    except socket.gaierror as error:
        raise InvalidSettings(
            f"HANNER_METRICS_HOST={host} is not an address of this machine: {error.strerror}"
        ) from None
    except OSError as error:
        raise InvalidSettings(
            f"metrics cannot be served on {host}:{port} ({error.strerror}); change HANNER_METRICS_PORT, or set it to 0"
        ) from None
