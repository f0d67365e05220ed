"""HANNER_BROKER_URL: every form that means an address is accepted; others are errors that show no secret."""

import re
import ssl
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.utils.url import url_to_parts
from redis import Redis

from hanner import AsyncClient, Client, InvalidSettings, Settings
from hanner.address import BrokerAddress, parse_address, parse_addresses, redact_url, split_addresses
from hanner_gateway.redis_client import make_redis

LOCAL = ("localhost", 6379)
SECRETS = ("hunter", "2secret", "secret")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", BrokerAddress((LOCAL,))),
        ("redis://h", BrokerAddress((("h", 6379),))),
        ("redis://h:6379//", BrokerAddress((("h", 6379),))),
        ("redis://h:1/3/", BrokerAddress((("h", 1),), database=3)),
        ("redis://h:1?db=5", BrokerAddress((("h", 1),), database=5)),
        ("redis://h:1/5?db=5", BrokerAddress((("h", 1),), database=5)),
        ("redis://h/0?protocol=3&health_check_interval=30&decode_responses=True", BrokerAddress((("h", 6379),))),
        ("redis://h/0?socket_timeout=3", BrokerAddress((("h", 6379),), timeouts={"socket_timeout": 3})),
        ("REDIS://h/1", BrokerAddress((("h", 6379),), database=1)),
        (" redis://h/1\n", BrokerAddress((("h", 6379),), database=1)),
        ("valkey://h/1", BrokerAddress((("h", 6379),), database=1)),
        ("redis://[::1]:1/0", BrokerAddress((("::1", 1),))),
        ("redis://u:secret@h", BrokerAddress((("h", 6379),), username="u", password="secret")),
        ("redis://:hunter;2secret@h", BrokerAddress((("h", 6379),), password="hunter;2secret")),
        ("redis://:p@ss:w[o]rd@h", BrokerAddress((("h", 6379),), password="p@ss:w[o]rd")),
        ("redis://:a%2Fb%40c@h", BrokerAddress((("h", 6379),), password="a/b@c")),
        ("redis://:密码@h", BrokerAddress((("h", 6379),), password="密码")),
        ("unix:///run/redis.sock", BrokerAddress(path="/run/redis.sock")),
        ("unix://u:x@/run/a@b.sock?db=3", BrokerAddress(path="/run/a@b.sock", database=3, username="u", password="x")),
        ("redis+socket:///run/redis.sock?virtual_host=2", BrokerAddress(path="/run/redis.sock", database=2)),
        ("sentinel://a;sentinel://b:1/2", BrokerAddress((("a", 26379), ("b", 1)), master="mymaster", database=2)),
        ("sentinel://:x;y@a:1,b:2/0?master_name=m", BrokerAddress((("a", 1), ("b", 2)), master="m", password="x;y")),
        ("sentinel://a:1;b:2", BrokerAddress((("a", 1), ("b", 2)), master="mymaster")),
    ],
)  # fmt: skip
def test_what_is_meant_is_accepted(url, expected):
    assert parse_address(url) == expected


@pytest.mark.parametrize("scheme", ["rediss", "valkeys"])
def test_tls(scheme):
    assert parse_address(f"{scheme}://h").tls == {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    loose = parse_address(f"{scheme}://h?ssl_cert_reqs=CERT_NONE&ssl_ca_certs=/a/b.pem&ssl_check_hostname=False")
    assert loose.tls == {"ssl_cert_reqs": ssl.CERT_NONE, "ssl_ca_certs": "/a/b.pem", "ssl_check_hostname": False}


@pytest.mark.parametrize(
    ("url", "shown", "problem"),
    [
        ("", "", "write redis://HOST:PORT/DB"),
        ("localhost:6379", "localhost:6379", "write redis://HOST:PORT/DB"),
        ("memory://", "memory://", "write redis://HOST:PORT/DB"),
        ("http://u:secret@h", "http://**@h", "write redis://HOST:PORT/DB"),
        ("u:secret@h:1/0", "**", "write redis://HOST:PORT/DB"),
        ("'redis://:secret@h'", "**", "write redis://HOST:PORT/DB"),
        ("redis://h:0", "redis://h:0", "the port must be a number from 1 to 65535"),
        ("redis://u:secret@h:99999/0", "redis://**@h:99999/0", "the port must be"),
        ("redis://u:secret@h:x/0", "redis://**@h:**", "the port must be"),
        ("redis://:secret:6379/0", "redis://:**", "the host must be a name"),
        ("redis://:hunter/2secret", "redis://:**", "the port must be"),
        ("redis://::1:6379/0", "redis://:**", "the host must be a name"),
        ("redis://[h/0", "redis://**", "the host must be a name"),
        ("redis://h 1/0", "redis://**", "the host must be a name"),
        ("redis://localhost:6379/x", "redis://localhost:6379/x", "the database must be a number, as in redis://"),
        ("redis://h/²", "redis://h/²", "the database must be a number"),
        ("unix:///run/r.sock?db=x", "unix://**", "the database must be a number"),
        ("redis://h/1?db=2", "redis://h/1", "it names several databases, 1 and 2; name one"),
        ("redis://:hunter/2secret@h:1/0", "redis://**@h:1/0", "write special characters of the user name and the"),
        ("redis://:hunter?2secret@h:1/0", "redis://**@h:1/0", "write special characters"),
        ("redis://:hunter#2secret@h:1/0", "redis://**@h:1/0", "write special characters"),
        ("redis://:p@hunter#2secret", "redis://**", "write special characters"),
        ("unix://:hunter/2secret@/run/r.sock", "unix://**", "write special characters"),
        ("unix://run/redis.sock", "unix://run/redis.sock", "the path of a socket begins with a third slash"),
        ("redis://a;redis://b/0", "**", "separate several addresses with a comma, each with its"),
        ("redis://a,b/0", "redis://**", "separate several addresses with a comma, each with its"),
        ("redis://h?ssl_cert_reqs=none", "redis://h", "options that begin with ssl_ need rediss://"),
        ("rediss://h?ssl_cert_reqs=nonsense", "rediss://h", "ssl_cert_reqs must be required, optional or none"),
        ("rediss://h?ssl_check_hostname=x", "rediss://h", "ssl_check_hostname must be true or false"),
        ("redis://h?socket_timeout=soon", "redis://h", "socket_timeout must be a number of seconds greater than 0"),
        ("redis://h?socket_timeout=0", "redis://h", "socket_timeout must be a number"),
        ("redis://h?colour=red", "redis://h", "colour is not an option; options are db, virtual_host, socket_timeout"),
        ("redis://h?2secret", "redis://h", "what follows ? is not an option; options are db"),
        ("redis://h?master_name=x", "redis://h", "master_name is not an option"),
        ("redis://:sec\x00ret@h", "redis://**@h", "remove its control characters"),
    ],
)  # fmt: skip
def test_other_urls_are_errors_that_show_no_secret(url, shown, problem):
    with pytest.raises(InvalidSettings) as caught:
        Settings.from_env({"HANNER_BROKER_URL": url or " "})
    message = str(caught.value)
    assert message.startswith(f"HANNER_BROKER_URL cannot be used: {shown!r}; {problem}")
    assert not any(secret in message for secret in SECRETS)
    for client in (Client, AsyncClient):
        with pytest.raises(InvalidSettings, match="^" + re.escape(f"broker_url cannot be used: {shown!r}; {problem}")):
            client(url)


def test_errors_of_pydantic_show_no_secret():
    with pytest.raises(ValueError, match="cannot be used") as caught:
        Settings(broker_url="redis://u:secret@h:x/0")
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(Settings(broker_url="redis://u:secret@h/0"))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://:secret@h:1", "redis://:**@h:1/0"),
        ("valkeys://u:secret@[::1]:1/0", "rediss://u:**@[::1]:1/0"),
        ("redis://secret@h:1/0", "redis://**@h:1/0"),
        ("sentinel://:secret@a:1;sentinel://b:1/2", "sentinel://:**@a:1/2;sentinel://:**@b:1/2"),
        ("unix://:secret@/run/r.sock", "unix://:**@/run/r.sock?db=0"),
        ("redis://:hunter;2secret@h:1/0", "redis://:**@h:1/0"),
        ("secret;x@h:1/0", "**"),
        ("secret://x:secret@h://", "**"),
        ("nonsense", "nonsense"),
    ],
)
def test_passwords_are_masked(url, shown):
    assert redact_url(url) == shown


@pytest.mark.parametrize(
    ("urls", "parts"),
    [
        ("redis://a", ["redis://a"]),
        ("redis://a,redis://b:1/2", ["redis://a", "redis://b:1/2"]),
        (" redis://:p,w@a , rediss://b?db=3,\nunix:///r\n", ["redis://:p,w@a", "rediss://b?db=3", "unix:///r"]),
        ("sentinel://a,b/0;sentinel://c,sentinel://d", ["sentinel://a,b/0;sentinel://c", "sentinel://d"]),
        ("redis://a/0,redis://a/1", ["redis://a/0", "redis://a/1"]),
    ],
)  # fmt: skip
def test_addresses_are_separated_by_commas(urls, parts):
    assert split_addresses(urls) == parts
    assert parse_addresses(urls) == [parse_address(part) for part in parts]
    settings = Settings(broker_url=urls, queue="other")
    assert [part.broker_url for part in settings.per_address()] == ([urls] if len(parts) == 1 else parts)
    assert {part.queue for part in settings.per_address()} == {"other"}


@pytest.mark.parametrize(
    ("urls", "problem"),
    [
        ("redis://:secret@a:1,redis://a:1/0", "names redis://a:1/0 twice; name each address once"),
        ("redis://:secret@a,redis://b:x/0", "cannot be used: 'redis://:**'; the port must be"),
        ("redis://:secret@a,redis://b?colour=red", "cannot be used: 'redis://b'; colour is not an option"),
        ("redis://a,b", "cannot be used: 'redis://**'; separate several addresses with a comma, each with its scheme"),
    ],
)
def test_the_error_names_the_wrong_one_of_several_addresses(urls, problem):
    with pytest.raises(InvalidSettings, match="^" + re.escape(f"HANNER_BROKER_URL {problem}")):
        Settings.from_env({"HANNER_BROKER_URL": urls})


def test_passwords_of_several_addresses_are_masked():
    assert redact_url("redis://:secret@a,redis://u:2secret@b:1/1") == "redis://:**@a:6379/0,redis://u:**@b:1/1"


def test_tag_names_server_and_database_without_login():
    def tag(url):
        return parse_address(url).tag

    assert tag("redis://:secret@h") == tag("rediss://u:x@h:6379/0?socket_timeout=2")
    urls = [
        "redis://h",
        "redis://h/1",
        "redis://h:1",
        "redis://i",
        "unix:///r",
        "sentinel://h",
        "sentinel://h?master_name=m",
    ]
    assert len({tag(url) for url in urls}) == len(urls)


WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp", "Cf", "Co", "Cn"]), max_size=12
)


@given(username=WORDS, password=WORDS, database=st.integers(0, 99), socket=st.booleans())
def test_celery_and_redis_py_get_the_same_login(username, password, database, socket):
    """Any characters of a password survive the URL for Celery, and none of them appears when the URL is shown."""
    where = {"path": "/run/ä b.sock"} if socket else {"nodes": (("h", 7),)}
    address = BrokerAddress(**where, database=database, username=username, password=password)
    assert parse_address(address.celery_url()) == address
    parts = url_to_parts(address.celery_url())
    assert (parts.username or "", parts.password or "") == (username, password)
    options = address.client_options()
    assert (options.get("username", ""), options.get("password", "")) == (username, password)
    Redis(**options)
    assert not password or str(address) == str(replace(address, password="another"))


def test_gateway_uses_the_same_address():
    pool = make_redis(Settings(broker_url=" valkey://u:a;b@h:1?db=3 ")).connection_pool
    expected = {"host": "h", "port": 1, "db": 3, "username": "u", "password": "a;b"}
    assert {name: pool.connection_kwargs[name] for name in expected} == expected
    assert (
        make_redis(Settings(broker_url="unix:///run/r.sock")).connection_pool.connection_kwargs["path"] == "/run/r.sock"
    )
    sentinels = make_redis(Settings(broker_url="sentinel://a,b/2?master_name=m")).connection_pool
    assert sentinels.service_name == "m"
    assert [one.connection_pool.connection_kwargs["host"] for one in sentinels.sentinel_manager.sentinels] == ["a", "b"]
