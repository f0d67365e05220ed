"""The stack sends traces to a collector in its network, if it is configured."""

import json
import time
import urllib.request

import pytest

from support.docker_stack import run

COLLECTOR = """
import gzip, http.server
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        body = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            (service,) = (a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
            for scope in resource.scope_spans:
                for span in scope.spans:
                    print(service, self.headers["x-team"], span.trace_id.hex(), span.name, flush=True)
        self.send_response(200)
        self.end_headers()

http.server.HTTPServer(("", 4318), Handler).serve_forever()
"""
"""Prints service, header, trace and name of each span. It runs in the gateway's image, which has OTLP's messages."""
TRACE = "0af7651916cd43dd8448eb211c80319c"
TEAM = "ner"
"""The value of a header that is stored as a secret."""
VARIABLES = {
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
    "OTEL_EXPORTER_OTLP_HEADERS_FILE": "/run/secrets/hanner/otlp-headers",
}
SPANS = {
    (service, TEAM, name)
    for service, name in (
        ("hanner-gateway", "POST /api/v1/ner"),
        ("hanner-worker", "process hanner"),
        ("hanner-worker", "hanner batch"),
    )
}
TIMEOUT = 60


@pytest.fixture
def collector(stack):
    """Run a collector in the network `back`, to which the stack sends its traces; yield its container's name."""
    name = f"{stack.project}-collector"
    network = ("--network", f"{stack.project}_back", "--network-alias", "collector")
    run(
        "docker",
        "run",
        "--detach",
        "--name",
        name,
        *network,
        stack.inspect("gateway")[0]["Image"],
        "python",
        "-c",
        COLLECTOR,
    )
    try:
        stack.set_secret("otlp-headers", f"x-team={TEAM}")
        stack.compose("up", "--detach", env=VARIABLES)
        stack.wait_healthy("worker", "gateway")
        yield name
    finally:
        run("docker", "rm", "--force", name)
        stack.compose("up", "--detach")
        stack.wait_healthy("redis", "worker", "gateway", "flower")


def test_one_trace_connects_the_call_and_the_batch(stack, collector):
    request = urllib.request.Request(
        stack.url("gateway", "/api/v1/ner"),
        json.dumps({"text": "马云在杭州阿里巴巴总部发表演讲"}).encode(),
        {"Content-Type": "application/json", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200
    began, found = time.monotonic(), set()
    while found != SPANS and time.monotonic() - began < TIMEOUT:
        rows = [line.split(" ", 3) for line in run("docker", "logs", collector).stdout.splitlines()]
        found = {(service, team, name) for service, team, trace, name in rows if trace == TRACE}
        time.sleep(0.5)  # spans are sent every five seconds, and Docker has no notification of log lines
    assert found == SPANS
