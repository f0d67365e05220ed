"""API keys, rate limits, CORS, and security headers."""

import base64
import hashlib
import re
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Mount

from hanner import InvalidSettings
from hanner_gateway.app import API_KEY
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


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/healthz", "/readyz", "/metrics"])
def test_page_documentation_and_probes_need_no_key(protected, lease, path):
    lease()
    assert protected.http.get(path).status_code == 200


def is_secured(dependant):
    return any(each.call is API_KEY or is_secured(each) for each in dependant.dependencies)


def test_routes_that_declare_security_need_a_key_and_no_other_route_does(protected, worker):
    routes = [route for route in protected.app.routes if isinstance(route, APIRoute)]
    unguarded = {"/", "/docs", "/docs/start.js", "/healthz", "/readyz", "/metrics"}
    for route in routes:
        for method in route.methods:
            path = re.sub(r"\{\w+\}", "0" * 32, route.path)
            refused = protected.http.request(method, path).status_code == 401
            assert refused == is_secured(route.dependant), (method, route.path)
            assert refused or route.path in unguarded, (method, route.path)
    assert {route.path for route in protected.app.routes if isinstance(route, Mount)} == {"/docs"}
    for path, operations in protected.http.get("/openapi.json").json()["paths"].items():
        for method, operation in operations.items():
            refused = protected.http.request(method, path.replace("{id}", "0" * 32)).status_code == 401
            assert refused == bool(operation.get("security")), (method, path)


def test_wrong_keys_are_limited_and_known_callers_are_not_affected(start):
    site = start(api_keys=f"{KEY},another", wrong_key_limit="5/hour")

    def status(key):
        return site.http.get("/api/v1/status", headers={"X-API-Key": key}).status_code

    assert status(KEY) == 200
    assert [status(f"guess-{n}") for n in range(8)] == [401] * 5 + [429] * 3
    assert status("another") == 429  # a correct guess looks like a wrong one
    assert status(KEY) == 200
    response = site.http.get("/api/v1/status", headers={"X-API-Key": "guess"})
    assert (response.json()["code"], int(response.headers["retry-after"]) > 0) == ("rate_limited", True)
    assert site.http.get("/api/v1/status").status_code == 401  # a request without a key guesses nothing


def test_limit_of_wrong_keys_can_be_switched_off(start):
    site = start(api_keys=KEY, wrong_key_limit="off")
    codes = {site.http.get("/api/v1/status", headers={"X-API-Key": "wrong"}).status_code for _ in range(40)}
    assert codes == {401}


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


def statuses(site, addresses):
    return [site.http.get("/api/v1/status", headers={"X-Forwarded-For": address}).status_code for address in addresses]


def test_forwarded_address_of_an_untrusted_program_does_not_bypass_the_limit(start, caplog):
    site = start(rate_limit="2/hour")
    assert statuses(site, [f"192.0.2.{n}" for n in range(4)]) == [200, 200, 429, 429]
    warnings = [record.message for record in caplog.records if "HANNER_PROXIES" in record.message]
    assert warnings == [
        "a proxy at 127.0.0.1 sends X-Forwarded-For, but is not in HANNER_PROXIES: its callers share one rate limit"
    ]


def test_callers_behind_a_trusted_proxy_have_limits_of_their_own(start):
    site = start(rate_limit="1/hour", proxies="127.0.0.0/8")
    assert statuses(site, ["192.0.2.1", "192.0.2.2", "192.0.2.1"]) == [200, 200, 429]
    # Only the address that the proxy appended counts, whatever the caller sent.
    assert statuses(site, ["10.1.1.1, 192.0.2.2", "8.8.8.8, 192.0.2.3"]) == [429, 200]


def test_page_that_rebinds_its_name_cannot_read(start, worker):
    site = start(allowed_hosts="ner.example.org")
    for path in ("/", "/api/v1/status", "/metrics"):
        response = site.http.get(path, headers={"Host": "evil.example:8080"})
        assert (response.status_code, response.json()["code"]) == (421, "host_not_allowed")
        assert "HANNER_ALLOWED_HOSTS" in response.json()["detail"]
    for host in ("ner.example.org", "localhost:8080", f"127.0.0.1:{site.port}"):
        assert site.http.get("/api/v1/status", headers={"Host": host}).status_code == 200


def test_form_of_another_site_cannot_create_a_job(site, server, worker):
    form = {"files": {"file": ("t.txt", "马云".encode())}}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        response = site.http.post("/api/v1/jobs", headers=headers, **form)
        assert (response.status_code, response.json()["code"]) == (403, "cross_site")
        assert site.http.delete("/api/v1/jobs/" + "0" * 32, headers=headers).status_code == 403
    assert not [key for key in server.client.scan_iter() if "job" in key]
    assert site.http.post("/api/v1/jobs", headers={"Origin": site.url}, **form).status_code == 202


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


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate_limit": "many"},
        {"api_keys": "sha256:12"},
        {"proxies": "nginx"},
        {"allowed_hosts": "a:1"},
        {"broker_url": "amqp://h"},
    ],
)
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


@pytest.mark.parametrize("path", ["/", "/docs", "/nothing", "/healthz", "/docs/swagger-ui.css"])
def test_every_response_has_security_headers(site, path):
    headers = site.http.get(path).headers
    policy = policy_of(headers)
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    if path != "/":
        assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def policy_of(headers):
    return dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))


def test_swagger_ui_follows_the_content_security_policy(site):
    html = site.http.get("/docs").text
    assert not re.findall(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son\w+=|javascript:", html)
    sources = re.findall(r"""<(?:script|link|img)[^>]*\b(?:src|href)=["']([^"']+)""", html)
    for source in sources:
        assert not re.match(r"(https?:)?//", source)
        if not source.startswith("data:"):
            assert site.http.get(f"/{source.removeprefix('/')}").status_code == 200, source
    assert len(sources) >= 4


def test_page_runs_its_own_script_and_no_other(site):
    response = site.http.get("/")
    policy = policy_of(response.headers)
    markup = response.text
    for kind in ("script", "style"):
        ((attributes, inline),) = re.findall(rf"<{kind}\b([^>]*)>(.*?)</{kind}>", markup, re.DOTALL)
        assert "src=" not in attributes
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert policy[f"{kind}-src"] == f"'sha256-{digest}'"
        markup = markup.replace(inline, "")
    assert not re.findall(r"\sstyle=|\son\w+=|javascript:", markup)
    assert policy["require-trusted-types-for"] == "'script'"


def test_page_is_sent_again_only_if_it_has_changed(site):
    first = site.http.get("/")
    assert first.headers["content-encoding"] == "gzip"
    plain = site.http.get("/", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == first.text
    again = site.http.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    # A browser replaces the stored headers by those of this response.
    assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
    assert site.http.get("/", headers={"If-None-Match": 'W/"another"'}).text == first.text


def test_only_swagger_uis_files_are_served_from_its_package(site):
    assert site.http.get("/docs/swagger-ui-bundle.js").status_code == 200
    for path in ("/docs/redoc.standalone.js", "/docs/..%2f__init__.py", "/docs/../app.py"):
        assert site.http.get(path).status_code == 404
