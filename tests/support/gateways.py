"""Run a real gateway: uvicorn in a thread, on a free port."""

import threading
from contextlib import contextmanager

import httpx
import uvicorn

from hanner.settings import Settings
from hanner_gateway.app import make_app
from hanner_gateway.protocol import LimitedProtocol
from support.waiting import DEADLINE


class _Server(uvicorn.Server):
    def __init__(self, config):
        super().__init__(config)
        self.ready = threading.Event()
        self.port = None

    async def startup(self, sockets=None):
        await super().startup(sockets)
        if self.servers:
            self.port = self.servers[0].sockets[0].getsockname()[1]
        self.ready.set()


class Gateway:
    """A running gateway.

    Attributes:
        http: An HTTP client with its base URL.
        port: The port it listens on.
        app: The ASGI app.
    """

    def __init__(self, app, port, http):
        self.app, self.port, self.http = app, port, http
        self.url = f"http://127.0.0.1:{port}"

    def ner(self, **body):
        return self.http.post("/api/v1/ner", json=body)

    def job(self, job_id, **parameters):
        return self.http.get(f"/api/v1/jobs/{job_id}", params=parameters)

    def events(self, job_id):
        """Return the (event, data) pairs of a job until it ends."""
        found, event = [], None
        with self.http.stream("GET", f"/api/v1/jobs/{job_id}/events") as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            for line in response.iter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    event = value
                elif name == "data":
                    found.append((event, value))
        return found


@contextmanager
def gateway(url, *, provider=None, **overrides):
    """Run a gateway with these settings until the block ends. Requests that still run then are cancelled."""
    app = make_app(Settings.from_env({}, broker_url=url, **{"timeout": 10, **overrides}), provider)
    options = {"log_config": None, "access_log": False, "proxy_headers": False, "http": LimitedProtocol}
    config = uvicorn.Config(app, port=0, timeout_graceful_shutdown=0, **options)
    server = _Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        assert server.ready.wait(DEADLINE)
        assert server.port, "the gateway did not start"
        # Without TLS, so it need not read the certificates, which takes as long as the rest of the gateway.
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60, verify=False) as http:
            yield Gateway(app, server.port, http)
    finally:
        server.should_exit = True
        thread.join(DEADLINE)
        assert not thread.is_alive()
