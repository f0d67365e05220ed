"""Host names, origins and proxies, as read from settings and headers."""

import pytest
from starlette.datastructures import Headers

from hanner import InvalidSettings
from hanner_gateway.hosts import AllowedHosts, is_cross_site, is_loopback
from hanner_gateway.proxies import caller_address, parse_proxies

SELF = {"host": "ner.example.org"}


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8080", "LOCALHOST", "app.localhost:1", "127.0.0.1:8080", "[::1]:8080", "[::1]", "10.0.0.7",
     "ner.example.org", "NER.example.org.:443", "a.example.com", "a.b.example.com"],
)  # fmt: skip
def test_own_names_and_addresses_are_allowed(host):
    assert host in AllowedHosts("ner.example.org, *.example.com")


@pytest.mark.parametrize(
    "host", ["evil.example", "example.org", "example.com", "xexample.com", "localhost.evil.example", "1.2.3.4.evil", ""]
)
def test_other_names_are_not_allowed(host):
    assert host not in AllowedHosts("ner.example.org, *.example.com")


@pytest.mark.parametrize("setting", ["", "*", "a.example, *"])
def test_all_hosts_can_be_allowed(setting):
    assert "evil.example" in AllowedHosts(setting)


@pytest.mark.parametrize("setting", ["https://a.example", "a.example:443", "a.*", "a b", "a/b"])
def test_entry_that_is_not_a_host_name_is_rejected(setting):
    with pytest.raises(InvalidSettings, match="HANNER_ALLOWED_HOSTS cannot be used"):
        AllowedHosts(setting)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, False),
        ({"sec-fetch-site": "same-origin", "origin": "https://behind.a.proxy"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "same-site", "origin": "https://other.example.org"}, True),
        ({"origin": "https://ner.example.org"}, False),
        ({"origin": "https://ner.example.org:444"}, True),
        ({"origin": "https://evil.example"}, True),
        ({"origin": "null"}, True),
        ({"origin": "https://trusted.example", "sec-fetch-site": "cross-site"}, False),
    ],
)
def test_requests_of_other_sites_are_recognised(headers, expected):
    given = Headers(SELF | headers)
    assert is_cross_site("POST", given, {"https://trusted.example"}) is expected
    assert is_cross_site("DELETE", given, {"https://trusted.example"}) is expected
    assert not is_cross_site("GET", given, ())
    assert not is_cross_site("POST", given, {"*"})


def test_loopback_addresses_are_recognised():
    assert all(map(is_loopback, ("127.0.0.1", "127.0.0.2", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.org")))


def test_proxies_are_addresses_and_networks():
    assert parse_proxies(" 127.0.0.1, 10.0.0.0/8,::1 ") == ["127.0.0.1", "10.0.0.0/8", "::1"]
    assert parse_proxies("*") == ["*"]
    assert parse_proxies("") == []
    for wrong in ("nginx", "10.0.0.1/8", "127.0.0.1,*"):
        with pytest.raises(InvalidSettings, match="HANNER_PROXIES cannot be used"):
            parse_proxies(wrong)


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("2001:db8:1:2:3:4:5:6", 5), "2001:db8:1:2::/64"),
        (("::ffff:192.0.2.1", 5), "192.0.2.1"),
        (("socket", 0), "socket"),
        (None, "unknown"),
    ],
)
def test_caller_is_an_address_or_an_ipv6_network(client, expected):
    assert caller_address({"client": client}) == expected
