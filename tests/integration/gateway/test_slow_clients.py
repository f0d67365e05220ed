"""Clients that send slowly, read slowly, or open many connections: the gateway closes them and answers the others."""

import contextlib
import json
import socket

import pytest

from hanner_gateway import access, protocol
from support.waiting import wait_until

TIMEOUT = 1.0
HALF_SENT = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "


PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="t.txt"\r\n\r\n'


@pytest.fixture
def impatient(monkeypatch, start):
    """A gateway with short time limits."""
    monkeypatch.setattr(protocol, "READ_TIMEOUT", TIMEOUT)
    monkeypatch.setattr(protocol, "WRITE_TIMEOUT", TIMEOUT)
    monkeypatch.setattr(access, "BODY_TIMEOUT", TIMEOUT)
    return start()


@pytest.fixture
def connect(impatient):
    """Return a function that connects to the gateway and sends bytes."""
    with contextlib.ExitStack() as stack:

        def open_(sent=b""):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", impatient.port), timeout=60))
            client.sendall(sent)
            return client

        yield open_


def read_all(client):
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(65536):
            received += part
    return received


def trickle(client):
    """Send a byte every tenth of a second until the gateway closes the connection; return the received bytes."""
    client.settimeout(0.1)
    received = b""

    def is_closed():
        nonlocal received
        try:
            client.sendall(b"a")
            received += (part := client.recv(65536))
        except TimeoutError:
            return False
        except (ConnectionResetError, BrokenPipeError):
            return True
        return not part

    wait_until(is_closed)
    return received


def test_half_sent_headers_are_not_kept(impatient, connect):
    clients = [connect(HALF_SENT) for _ in range(300)]
    assert impatient.http.get("/healthz").status_code == 200
    assert {read_all(client).partition(b"\r\n")[0] for client in clients} == {b"HTTP/1.1 408 Request Timeout"}


def test_header_that_arrives_byte_by_byte_is_not_kept(connect):
    assert trickle(connect(HALF_SENT)).startswith(b"HTTP/1.1 408 ")


def test_second_request_of_a_connection_has_the_same_limit(connect):
    client = connect(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    first = b""
    while not first.endswith(b'{"status":"ok"}'):
        part = client.recv(65536)
        assert part, first
        first += part
    assert first.startswith(b"HTTP/1.1 200 ")
    client.sendall(HALF_SENT)
    assert read_all(client).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("sent", [b"", b"\r\n"])
def test_connection_without_a_request_is_closed(connect, sent):
    assert read_all(connect(sent)) == b""


def test_endless_headers_are_rejected(connect):
    client = connect(HALF_SENT)
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        for _ in range(3):
            client.sendall(b"a" * 32_768)
    assert read_all(client).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    ("path", "media_type", "begin"),
    [("/api/v1/ner", "application/json", b""), ("/api/v1/jobs", "application/json", b""),
     ("/api/v1/jobs", "multipart/form-data; boundary=b", PART)],
)  # fmt: skip
def test_slow_body_is_rejected(connect, path, media_type, begin):
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\nContent-Length: 1000000\r\n\r\n"
    headers, _, body = trickle(connect(head.encode() + begin)).partition(b"\r\n\r\n")
    assert headers.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["code"] == "request_timeout"


def test_rest_of_a_rejected_body_is_not_awaited_for_ever(connect):
    head = b"POST /api/v1/nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
    assert trickle(connect(head)).startswith(b"HTTP/1.1 404 ")


def test_waiting_for_an_answer_has_no_time_limit_of_headers_or_body(impatient, worker):
    worker.hold()
    with contextlib.ExitStack() as stack:
        body = json.dumps({"text": "马云"}).encode()
        client = stack.enter_context(socket.create_connection(("127.0.0.1", impatient.port), timeout=60))
        head = f"POST /api/v1/ner HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        client.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
        worker.wait_for(1)
        # A later connection has met its time limit, so this request has waited longer.
        idle = stack.enter_context(socket.create_connection(("127.0.0.1", impatient.port), timeout=60))
        assert idle.recv(1) == b""
        worker.release()
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_client_that_never_reads_is_disconnected(connect):
    client = connect(b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)  # 70 MB
    client.settimeout(0.1)

    def is_disconnected():
        try:
            client.sendall(b"\r\n")
        except (ConnectionResetError, BrokenPipeError):
            return True
        return False

    wait_until(is_disconnected)


def test_listeners_share_one_read_of_redis(server, impatient, connect, worker):
    worker.hold()
    job = impatient.http.post("/api/v1/jobs", json={"texts": ["马云", "杭州"]}).json()
    worker.wait_for(1)
    before = server.client.info("clients")["connected_clients"]
    request = f"GET /api/v1/jobs/{job['id']}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    clients = [connect(request) for _ in range(500)]  # none of them reads before the end
    assert {client.recv(12) for client in clients} == {b"HTTP/1.1 200"}
    assert impatient.http.get("/healthz").status_code == 200
    assert server.client.info("clients")["connected_clients"] - before < 100
    polls = 3
    first = server.client.info("commandstats")["cmdstat_hmget"]["calls"]
    wait_until(lambda: server.client.info("commandstats")["cmdstat_hmget"]["calls"] >= first + polls)
    assert server.client.info("commandstats")["cmdstat_hmget"]["calls"] < first + 100
    worker.release()
    for client in clients:
        received = b""
        while b"event: end" not in received:
            received += client.recv(65536)


def test_job_of_line_breaks_is_limited(server, start):
    site = start(max_job_texts=1000)
    for request in (
        {"files": {"file": ("t.txt", b"\n" * 100_000)}},
        {"json": {"texts": [""] * 1001}},
    ):
        response = site.http.post("/api/v1/jobs", **request)
        assert (response.status_code, response.json()["code"]) == (413, "too_many_texts")
        assert "more than 1,000 texts" in response.json()["detail"]
        assert "HANNER_MAX_JOB_TEXTS" in response.json()["detail"]
    assert not [key for key in server.client.scan_iter() if "job" in key]
    assert site.http.post("/api/v1/jobs", files={"file": ("t.txt", b"\n" * 1000)}).json()["total"] == 1000
