"""API keys, rate limits, CORS, and security headers."""

import hashlib
import re
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from hanner import InvalidSettings
from support.gateways import gateway

KEY = "correct-horse"
HASHED = "sha256:" + hashlib.sha256(KEY.encode()).hexdigest()


@pytest.fixture(scope="module")
def protected(running_server):
    with gateway(running_server.url, api_keys=f"another,{HASHED}") as site:
        yield site


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/v1/ner"), ("POST", "/"), ("POST", "/api/v1/jobs"), ("GET", "/api/v1/status"),
     ("GET", "/api/v1/jobs/" + "0" * 32), ("GET", "/api/v1/nothing")],
)  # fmt: skip
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"X-API-Key": ""}, {"Authorization": KEY}])
def test_request_without_a_key_is_rejected(protected, method, path, headers):
    response = protected.http.request(method, path, headers=headers)
    assert response.status_code == 401
    assert response.json()["code"] == "unauthorized"
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("headers", [{"Authorization": f"Bearer {KEY}"}, {"X-API-Key": KEY}, {"X-API-Key": "another"}])
def test_request_with_a_key_is_answered(protected, worker, headers):
    assert protected.http.post("/api/v1/ner", json={"text": "马云"}, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/openapi.json", "/healthz", "/readyz", "/metrics", "/static/index.html"]
)
def test_page_documentation_and_probes_need_no_key(protected, worker, path):
    assert protected.http.get(path).status_code == 200


def test_request_without_a_key_is_rejected_before_its_body_is_read(protected):
    with socket.create_connection(("127.0.0.1", protected.port), timeout=30) as client:
        client.sendall(b"POST /api/v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 90000000\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 401 ")


def test_rate_limit_is_shared_by_all_gateways(start, worker):
    first, second = (start(rate_limit="3/hour", api_keys=f"{KEY},another") for _ in range(2))
    headers = {"X-API-Key": KEY}
    for site in (first, second, first):
        assert site.http.get("/api/v1/status", headers=headers).status_code == 200
    response = second.http.post("/api/v1/ner", json={"text": "马云"}, headers=headers)
    assert response.status_code == 429
    assert response.json()["code"] == "rate_limited"
    assert 0 < int(response.headers["retry-after"]) <= 3600
    assert second.http.get("/api/v1/status", headers={"X-API-Key": "another"}).status_code == 200
    assert second.http.get("/healthz").status_code == 200


def test_rate_limit_counts_addresses_if_no_keys_are_set(start):
    site = start(rate_limit="1/hour")
    assert [site.http.get("/api/v1/status").status_code for _ in range(2)] == [200, 429]


def test_rate_limit_is_exact_for_concurrent_requests(start):
    site = start(rate_limit="10/hour")
    with ThreadPoolExecutor(8) as threads:
        codes = list(threads.map(lambda _: site.http.get("/api/v1/status").status_code, range(40)))
    assert codes.count(200) == 10
    assert codes.count(429) == 30


def test_rate_limit_without_redis_returns_503():
    with gateway("redis://127.0.0.1:1/0", rate_limit="1/hour", connect_timeout=0.3) as site:
        response = site.http.post("/api/v1/ner", json={"text": "a"})
        assert (response.status_code, response.json()["code"]) == (503, "broker_unreachable")


@pytest.mark.parametrize("wrong", [{"rate_limit": "many"}, {"api_keys": "sha256:12"}, {"broker_url": "amqp://h"}])
def test_invalid_settings_are_rejected_at_start(wrong):
    with pytest.raises(InvalidSettings), gateway(wrong.pop("broker_url", "redis://127.0.0.1:1/0"), **wrong):
        pass


def test_only_configured_origins_may_call(site, start, worker):
    headers = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in site.http.options("/api/v1/ner", headers=headers).headers
    open_ = start(cors_origins="https://a.example, https://b.example", api_keys=KEY)
    response = open_.http.options("/api/v1/ner", headers=headers)
    assert response.headers["access-control-allow-origin"] == "https://a.example"
    response = open_.http.options("/api/v1/ner", headers={**headers, "Origin": "https://c.example"})
    assert "access-control-allow-origin" not in response.headers
    response = open_.http.post("/api/v1/ner", json={"text": "a"}, headers={"Origin": "https://b.example"})
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == "https://b.example"  # so that the page can read the error
    assert "X-Request-ID" in response.headers["access-control-expose-headers"]


@pytest.mark.parametrize("path", ["/", "/docs", "/nothing", "/healthz", "/static/index.html", "/docs/swagger-ui.css"])
def test_every_response_has_security_headers(site, path):
    headers = site.http.get(path).headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("page", ["/", "/docs"])
def test_pages_follow_the_content_security_policy(site, page):
    html = site.http.get(page).text
    assert not re.findall(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son\w+=|javascript:", html)
    sources = re.findall(r"""<(?:script|link|img)[^>]*\b(?:src|href)=["']([^"']+)""", html)
    for source in sources:
        assert not re.match(r"(https?:)?//", source)
        if not source.startswith("data:"):
            assert site.http.get(f"/{source.removeprefix('/')}").status_code == 200, source
    assert len(sources) >= (4 if page == "/docs" else 0)


def test_only_swagger_uis_files_are_served_from_its_package(site):
    assert site.http.get("/docs/swagger-ui-bundle.js").status_code == 200
    for path in ("/docs/redoc.standalone.js", "/docs/..%2f__init__.py", "/static/..%2fapp.py", "/static/../app.py"):
        assert site.http.get(path).status_code == 404
