"""`hanner gateway` as a user runs it, with curl as the client: requests, start, stop, and errors at start."""

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import urllib.request

import psutil
import pytest

from support.commands import command
from support.ended_processes import wait_ended
from support.ports import free_port
from support.servers import redis_server
from support.spans import collector
from support.stub_worker import MODEL, StubWorker
from support.waiting import wait_until

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")


@pytest.fixture(scope="module")
def server():
    with redis_server() as running:
        yield running


@contextlib.contextmanager
def running(server, *arguments, **env):
    port = free_port()
    with command("gateway", "--port", str(port), *arguments, env={"HANNER_BROKER_URL": server.url, **env}) as process:
        for line in process.stdout:
            if "Application startup complete" in line:
                break
        wait_until(lambda: accepts_connections(port))  # uvicorn listens after that line
        yield process, f"http://127.0.0.1:{port}"


def accepts_connections(port):
    with socket.create_connection(("127.0.0.1", port), timeout=60):
        return True


def curl(*arguments):
    ended = subprocess.run(["curl", "-sS", "--max-time", "60", *arguments], capture_output=True, check=True)
    return ended.stdout.decode()


def memory(process):
    return psutil.Process(process.pid).memory_info().rss / 2**20


def test_curl_gets_entities_and_a_large_upload_uses_little_memory(server, tmp_path):
    with running(server) as (process, url), StubWorker(server.url):
        output = curl(f"{url}/api/v1/ner", "-H", "Content-Type: application/json", "-d", '{"text": "马云在杭州"}')
        entity = '{"text":"马云","type":"PER","start":0,"end":2,"score":0.9}'
        assert output == f'{{"entities":[{entity}],"model":"{MODEL}"}}'
        assert "server:" not in curl("-I", f"{url}/").lower()
        assert curl(f"{url}/healthz") == '{"status":"ok"}'
        large = tmp_path / "large.txt"
        large.write_text(f"{'马云在杭州' * 650}\n" * 6000, "utf-8")  # 58 MB
        before = memory(process)
        job = json.loads(curl("-F", f"file=@{large}", f"{url}/api/v1/jobs"))
        assert job["total"] == 6000
        assert memory(process) - before < 30
        curl("-X", "DELETE", f"{url}/api/v1/jobs/{job['id']}")  # otherwise the next gateway on this server continues it
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        assert process.wait(60) == 0


def test_processes_share_port_and_metrics(server):
    with running(server, "--processes", "2") as (process, url), StubWorker(server.url):
        for _ in range(2):  # each process prints that it has started
            curl("-H", "Content-Type: application/json", "-d", '{"text": "马云"}', f"{url}/api/v1/ner")
        counted = [line for line in curl(f"{url}/metrics").splitlines() if line.startswith("hanner_http_texts_total")]
        assert counted == ['hanner_http_texts_total{outcome="ok"} 2.0']
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(60) == 0


def test_spans_are_exported_to_the_configured_collector(server, tmp_path):
    secret = tmp_path / "otlp-headers"
    secret.write_text("authorization=Bearer%20hush,x-team=ner\n", "utf-8")
    with collector() as sent_to, StubWorker(server.url) as stub:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": sent_to.url, "OTEL_EXPORTER_OTLP_HEADERS_FILE": str(secret)}
        with running(server, **env) as (process, url):
            curl("-H", "Content-Type: application/json", "-d", '{"text": "马云"}', f"{url}/api/v1/ner")
            process.send_signal(signal.SIGTERM)  # the last spans are exported at exit
            process.stdout.read()
            assert process.wait(60) == 0
        ((service, span),) = sent_to.wait_for(1)
        assert sent_to.headers[0].items() >= {"authorization": "Bearer hush", "x-team": "ner"}.items()
        _, trace_id, span_id, _ = stub.requests[0]["headers"]["traceparent"].split("-")
    assert (service, span.name) == ("hanner-gateway", "POST /api/v1/ner")
    assert (span.trace_id.hex(), span.span_id.hex()) == (trace_id, span_id)


def test_processes_end_when_the_gateway_is_killed(server):
    with running(server, "--processes", "2") as (process, _):
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 2
        process.kill()
        wait_ended(children)


def test_open_event_stream_does_not_block_shutdown(server):
    with running(server) as (process, url):
        created = curl("-H", "Content-Type: application/json", "-d", '{"text": "马云"}', f"{url}/api/v1/jobs")
        job = created.partition('"id":"')[2].partition('"')[0]
        with urllib.request.urlopen(f"{url}/api/v1/jobs/{job}/events", timeout=60) as events:
            assert events.readline().startswith(b"event: progress")
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
            assert process.wait(60) == 0


def test_local_programs_and_other_sites_get_no_special_trust(server):
    def status(*arguments):
        return curl("-o", "/dev/null", "-w", "%{http_code}", *arguments)

    with running(server, HANNER_RATE_LIMIT="2/hour") as (_, url):
        assert status(f"{url}/", "-H", "Host: evil.example") == "421"
        assert status(f"{url}/", "-H", "Host: localhost:8080") == "200"
        found = [status(f"{url}/api/v1/status", "-H", f"X-Forwarded-For: 192.0.2.{n}") for n in range(3)]
        assert found == ["200", "200", "429"]
    with running(server, "--proxies", "127.0.0.1", HANNER_RATE_LIMIT="2/hour") as (_, url):
        found = [status(f"{url}/api/v1/status", "-H", f"X-Forwarded-For: 192.0.2.{n}") for n in range(3)]
        assert found == ["200", "200", "200"]


def test_stopping_gateway_answers_waiting_requests_with_503(server):
    """No worker answers, so 20 requests still wait when the time for running requests is over."""
    body = json.dumps({"text": "马云"}).encode()
    head = (
        f"POST /api/v1/ner HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    )
    server.client.delete("hanner")
    with contextlib.ExitStack() as stack:
        process, url = stack.enter_context(running(server, "--graceful-timeout", "1"))
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        waiting = [stack.enter_context(socket.create_connection(address, timeout=60)) for _ in range(20)]
        for client in waiting:
            client.sendall(f"{head}\r\n\r\n".encode() + body)
        wait_until(lambda: server.client.llen("hanner") == 20)
        process.send_signal(signal.SIGTERM)
        responses = [client.makefile("rb").read().decode() for client in waiting]
        log = process.stdout.read()
        assert process.wait(60) == 0
    for response in responses:
        headers, _, problem = response.partition("\r\n\r\n")
        assert headers.startswith("HTTP/1.1 503 "), response
        assert "content-type: application/problem+json" in headers.lower()
        assert "retry-after: 1" in headers.lower()
        assert json.loads(problem)["code"] == "gateway_stopping"
    assert "Traceback" not in log
    assert log.count("POST /api/v1/ner 503 ") == 20
    assert log.count(" ERROR ") == 1, log  # how many requests were cancelled


@pytest.mark.parametrize(
    ("env", "words", "code"),
    [
        ({"HANNER_RATE_LIMIT": "many"}, "HANNER_RATE_LIMIT cannot be used", 2),
        ({"HANNER_API_KEYS": " , ,"}, "HANNER_API_KEYS is set, but has no key", 2),
        ({"HANNER_PROXIES": "nginx"}, "HANNER_PROXIES cannot be used", 2),
        ({"HANNER_API_KEYS": "sha256:1"}, "HANNER_API_KEYS cannot be used: entry 1", 2),
        ({"HANNER_BROKER_URL": "amqp://host"}, "HANNER_BROKER_URL cannot be used", 2),
    ],
)
def test_invalid_setting_is_one_line(env, words, code):
    with command("gateway", "--port", str(free_port()), env=env) as process:
        output = process.stdout.read()
        assert process.wait(60) == code
    assert words in output
    assert output.count("\n") == 1


def test_port_in_use_is_reported():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with command("gateway", "--port", port) as process:
            output = process.stdout.read()
            assert process.wait(60) == 1
    assert output.startswith(f"hanner: cannot listen on port {port} of 127.0.0.1: ")
