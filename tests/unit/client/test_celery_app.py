"""The configuration of Celery."""

import ssl
import subprocess
import sys

import pytest
from celery._state import get_current_app

from hanner import InvalidSettings, Settings
from hanner.transport.celery_app import make_celery


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


def test_unacknowledged_messages_of_other_apps_are_not_requeued():
    options = configured().broker_transport_options
    for name in ("unacked_key", "unacked_index_key", "unacked_mutex_key"):
        assert options[name].startswith("hanner:")


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
    url = "sentinel://:a@one:26379;sentinel://two:26379/3?master_name=texts"
    app = make_celery(Settings(broker_url=url))
    assert app.conf.broker_transport_options["master_name"] == "texts"
    assert [host["host"] for host in app.backend.connparams["hosts"]] == ["one", "two"]
    assert (app.backend.connparams["password"], app.backend.connparams["db"]) == ("a", 3)
    assert app.connection_for_write().virtual_host == "3"


def test_unix_socket():
    app = make_celery(Settings(broker_url="unix:///run/redis.sock?db=2"))
    assert (app.backend.connparams["path"], app.backend.connparams["db"]) == ("/run/redis.sock", 2)
    assert app.connection_for_write().hostname == "socket:///run/redis.sock?virtual_host=2"


def test_timeouts_of_the_url_take_precedence():
    app = make_celery(Settings(broker_url="redis://h/0?socket_timeout=3&socket_connect_timeout=2"))
    options = app.conf.broker_transport_options
    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (3, 2)
    assert (app.backend.connparams["socket_timeout"], app.backend.connparams["socket_connect_timeout"]) == (3, 2)


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


def test_several_addresses_are_an_error_that_names_them():
    with pytest.raises(
        InvalidSettings, match=r"has 2 addresses, redis://:\*\*@a:6379/0,redis://b:6379/0, and one is nee"
    ):
        make_celery(Settings(broker_url="redis://:secret@a,redis://b"))
