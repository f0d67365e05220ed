"""Parts of the worker that fail at their start: the metrics endpoint, and what `hanner doctor` checks of a worker."""

import logging
import socket

from prometheus_client import CollectorRegistry

from hanner.cli.doctor.result import Level
from hanner.settings import Settings
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
