"""The configuration of Celery."""

import re
import ssl
import subprocess
import sys

import pytest
from celery._state import get_current_app

from hanner import InvalidSettings, Settings
from hanner.transport.celery_app import make_celery, redact_url, split_url


def configured(**overrides):
    return make_celery(Settings(**overrides)).conf


def test_only_json_is_accepted():
    conf = configured()
    assert (conf.task_serializer, conf.result_serializer, conf.event_serializer) == ("json", "json", "json")
    assert conf.accept_content == conf.result_accept_content == ["json"]
    assert conf.task_protocol == 2
    assert not conf.result_extended


def test_queue_and_lifetimes_come_from_settings():
    app = make_celery(Settings(queue="texts", result_ttl=7, connect_timeout=1.5))
    assert app.amqp.router.route({}, "hanner.extract")["queue"].name == "texts"
    assert app.amqp.router.route({}, "shop.store")["queue"].name == "celery"
    assert app.conf.task_acks_late
    assert app.backend.expires == 7
    options = app.conf.broker_transport_options
    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (1.5, 1.5)
    assert app.backend.connparams["socket_timeout"] == app.backend.connparams["socket_connect_timeout"] == 1.5


def test_callers_app_remains_the_current_one():
    before = get_current_app()
    make_celery(Settings())
    assert get_current_app() is before


def test_tls_verifies_certificates_by_default():
    assert make_celery(Settings(broker_url="rediss://h/0")).backend.connparams["ssl_cert_reqs"] == ssl.CERT_REQUIRED
    loose = make_celery(Settings(broker_url="rediss://h/0?ssl_cert_reqs=CERT_NONE"))
    assert loose.backend.connparams["ssl_cert_reqs"] == ssl.CERT_NONE
    assert loose.connection_for_write().ssl == {"ssl_cert_reqs": ssl.CERT_NONE}


def test_sentinels():
    url = "sentinel://:a@one:26379;sentinel://:b@two:26379/0?master_name=texts"
    app = make_celery(Settings(broker_url=url))
    assert app.conf.broker_transport_options["master_name"] == "texts"
    assert [host["host"] for host in app.backend.connparams["hosts"]] == ["one", "two"]
    assert split_url("sentinel://one:26379/0") == ("sentinel://one:26379/0", "mymaster")


def test_unix_socket():
    app = make_celery(Settings(broker_url="redis+socket:///run/redis.sock?virtual_host=2"))
    assert app.backend.connparams["path"] == "/run/redis.sock"


@pytest.mark.parametrize(
    "url", ["", "localhost", "memory://", "http://u:secret@h", "redis://u:secret@h:x/0", "redis://h:0"]
)
def test_invalid_urls_are_rejected(url):
    with pytest.raises(InvalidSettings, match="HANNER_BROKER_URL cannot be used") as caught:
        make_celery(Settings(broker_url=url))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://localhost:6379/x", "'redis://localhost:6379/x'; the database must be a number, as in redis://"),
        ("redis://localhost:99999/0", "'redis://localhost:99999/0'; the port must be a number from 1 to 65535"),
        ("redis://u:secret@h:99999/0", "'redis://**@h:99999/0'; the port must be"),
        ("redis://:pa/ss@h:1/0", "'redis://**@h:1/0'; write special characters of the password"),
        ("redis://:12/34@h:1/0", "'redis://**@h:1/0'; write special characters of the password in percent-encoding"),
        ("sentinel://a:1;sentinel://b:1/x", "'sentinel://a:1/;sentinel://b:1/x'; the database must be a number"),
        ("redis+socket:///run/r.sock?virtual_host=x", "the database must be a number, as in redis\\+socket://"),
        ("redis://[h/0", "'redis://\\*\\*'; the host must be a name"),
    ],
)
def test_invalid_part_of_a_url_is_reported(url, message):
    expected = message if "\\" in message else re.escape(message)
    with pytest.raises(InvalidSettings, match=f"HANNER_BROKER_URL cannot be used: .*{expected}"):
        make_celery(Settings(broker_url=url))


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://:secret@h:1/0", "redis://:**@h:1/0"),
        ("redis://u:secret@h:1/0", "redis://u:**@h:1/0"),
        ("sentinel://:secret@a:1;sentinel://:secret@b:1/0", "sentinel://:**@a:1/;sentinel://:**@b:1/0"),
        ("redis://u:secret@h:notaport", "redis://**@h:**"),
        ("redis://:secret:6379/0", "redis://:**/0"),
        ("redis://:a?secret@h/0", "redis://**@h/0"),
        ("redis://:1/secret@h:1/0", "redis://**@h:1/0"),
        ("redis://:1;secret@h:1/0", "redis://**"),
        ("secret;x@h:1/0", "**"),
        ("u:secret@h:1/0", "**@h:1/0"),
        ("nonsense", "nonsense"),
    ],
)
def test_passwords_are_masked(url, masked):
    assert redact_url(url) == masked


def test_importing_has_no_side_effects_and_no_heavy_dependencies():
    code = """
import os, sys, threading
os.environ["HANNER_TIMEOUT"] = "nonsense"  # read on request, not at import
import hanner, hanner.transport.celery_app, hanner.client, hanner.aio.client, hanner.cli.local_redis
assert threading.active_count() == 1
heavy = {"numpy", "onnxruntime", "tokenizers", "safetensors", "torch", "typer", "rich"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_import_hanner_alone_is_light():
    code = (
        "import sys, hanner; assert not {'celery', 'redis', 'pydantic'} & set(sys.modules); dir(hanner); hanner.Client"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
