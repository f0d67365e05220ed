"""A tracer provider that keeps spans in memory, and an OTLP collector over HTTP."""

import gzip
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from support.waiting import DEADLINE


def in_memory_provider():
    """Return a tracer provider and the exporter that holds its finished spans."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


class Collector:
    """Collects (service, span) pairs, with spans as OTLP's protobuf messages, and the headers of each HTTP request."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"
        self.spans = []
        self.headers = []
        self._changed = threading.Condition()

    def add(self, body):
        request = ExportTraceServiceRequest.FromString(body)
        with self._changed:
            for resource in request.resource_spans:
                (service,) = (a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
                self.spans += [(service, span) for scope in resource.scope_spans for span in scope.spans]
            self._changed.notify_all()

    def wait_for(self, count, timeout=DEADLINE):
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.spans) >= count, timeout), self.spans
            return list(self.spans)


@contextmanager
def collector():
    """Run a collector on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            running.headers.append(dict(self.headers.items()))
            body = self.rfile.read(int(self.headers["Content-Length"]))
            running.add(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        running = Collector(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            thread.join(60)
