"""Parts of the worker when something is missing: a port, Redis, or what `hanner doctor` checks."""

import logging
import socket
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from prometheus_client import CollectorRegistry
from redis.exceptions import NoPermissionError, ResponseError

from hanner.cli.doctor.result import Level
from hanner.settings import Settings
from hanner.transport.celery_app import make_celery
from hanner_worker.batching.consumer import _is_alone, send_hello
from hanner_worker.doctor_checks import checks
from hanner_worker.observability.endpoint import MetricsEndpoint
from support.ports import free_port


def failures(**settings):
    """Return subject and message of each check that fails."""
    results = checks(Settings.from_env({}, **settings))
    return [(result.subject, result.message, result.fix) for result in results if result.level is Level.FAIL]


def test_port_that_is_taken_after_the_check_costs_only_the_metrics(caplog):
    port = free_port()
    endpoint = MetricsEndpoint(CollectorRegistry(), "127.0.0.1", port)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        endpoint.start()
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith(f"metrics are not served on 127.0.0.1:{port}: ")
    endpoint.reset_after_fork()  # it has no socket to close


def test_worker_recovers_if_redis_goes_down_when_it_asks_other_workers_for_revoked_tasks():
    app = make_celery(Settings.from_env({}, broker_url=f"redis://127.0.0.1:{free_port()}/0"))
    state = SimpleNamespace(revoked=set())
    connection = app.connection_for_read()
    consumer = SimpleNamespace(
        app=app, connection=connection, hostname="worker@here", controller=SimpleNamespace(state=state)
    )
    with pytest.raises(connection.connection_errors):  # the worker exits on any other error
        send_hello(None, consumer)


@pytest.mark.parametrize("error", [NoPermissionError("NOPERM"), ResponseError("unknown command")])
def test_worker_asks_the_others_if_redis_does_not_report_listeners(error):
    assert not _is_alone(Mock(pubsub_numpat=Mock(side_effect=error)))
    assert _is_alone(Mock(pubsub_numpat=Mock(return_value=0)))


def test_doctor_reports_a_missing_and_a_damaged_model(tiny_package, tmp_path):
    ((subject, message, fix),) = failures(model=str(tmp_path / "none"))
    assert subject == "model"
    assert str(tmp_path / "none") in message
    assert "HANNER_MODEL" in fix
    for file in tiny_package.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.onnx").write_bytes(b"damaged")
    ((subject, message, _),) = failures(model=str(tmp_path))
    assert subject == "model"
    assert "model.onnx" in message


def test_doctor_reports_an_engine_that_is_not_installed(tiny_package):
    ((subject, message, fix),) = failures(model=str(tiny_package), engine="no-such-engine")
    assert subject == "engine"
    assert "no-such-engine" in message
    assert "HANNER_ENGINE" in fix
