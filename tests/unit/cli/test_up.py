"""What `hanner up` prints about a running stack."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from hanner.cli import up
from hanner.cli.gateway_process import GatewayProcess
from hanner.cli.local_redis import EmbeddedServer
from hanner.cli.local_stack import LocalStack
from hanner.settings import Settings


def stack(url, gateway=None):
    return LocalStack(Settings(broker_url=url), None, None, "hanner-1@host", Path("worker.log"), "small@00", gateway)


@pytest.fixture(autouse=True)
def _paths(monkeypatch):
    monkeypatch.setattr(up, "shell_command", lambda name: f".venv/bin/{name}")


@pytest.mark.parametrize("url", ["redis://127.0.0.1:6379/0", "redis://localhost:6379/0"])
def test_no_variable_is_needed_for_the_default_redis(url):
    shown = up.format_stack(stack(url))
    assert "export" not in shown
    assert "  .venv/bin/hanner extract 马云" in shown
    assert "with Client() as ner:" in shown


def test_variable_is_printed_for_another_redis():
    assert "\n  export HANNER_BROKER_URL=redis://127.0.0.1:7000/0\n" in up.format_stack(
        stack("redis://127.0.0.1:7000/0")
    )


def test_reason_for_the_variable_is_printed(tmp_path):
    given = up.format_stack(stack("redis://h:7000/0"))
    assert "\n  # clients need its address:\n  export HANNER_BROKER_URL=" in given
    started = up.format_stack(replace(stack("redis://127.0.0.1:7000/0"), server=EmbeddedServer(tmp_path)))
    assert "\n  # port 6379 is in use, so set:\n  export HANNER_BROKER_URL=" in started


def test_password_is_redacted_in_the_variable():
    shown = up.format_stack(stack("redis://:secret@h:6379/0"))
    (line,) = [line for line in shown.splitlines() if "export" in line]
    assert "secret" not in shown
    assert line.endswith("# with the password")
    assert shlex.split(line, comments=True) == ["export", "HANNER_BROKER_URL=redis://:**@h:6379/0"]


def test_gateway_addresses_are_printed_if_it_runs():
    assert "curl" not in up.format_stack(stack("redis://127.0.0.1:7000/0"))
    shown = up.format_stack(stack("redis://127.0.0.1:7000/0", GatewayProcess(None, "http://127.0.0.1:8080", None)))
    assert "  page     http://127.0.0.1:8080/\n  API      http://127.0.0.1:8080/docs\n" in shown
    assert "  curl http://127.0.0.1:8080/api/v1/ner -H" in shown
