"""HANNER_ settings alone decide: variables, modules and settings of the surrounding Celery or Django app do nothing."""

import os
import subprocess
import sys

import pytest
from celery import Celery

from hanner import Settings
from hanner.transport.celery_app import make_celery

OURS, THEIRS = "redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/1"
VARIABLES = {
    "CELERY_BROKER_URL": THEIRS,
    "CELERY_BROKER_READ_URL": THEIRS,
    "CELERY_BROKER_WRITE_URL": THEIRS,
    "CELERY_RESULT_BACKEND": THEIRS,
    "CELERY_CONFIG_MODULE": "no_such_package.celeryconfig",
    "CELERY_LOADER": "no_such_package.loaders:Loader",
    "DJANGO_SETTINGS_MODULE": "no_such_package.settings",
}


def assert_isolated(app):
    conf = app.conf
    assert {conf.broker_url, conf.broker_read_url, conf.broker_write_url, conf.result_backend} == {OURS}
    for connection in (app.connection_for_read(), app.connection_for_write(), app.connection()):
        assert connection.as_uri(include_password=True) == OURS
    assert app.backend.as_uri() == OURS
    assert app.backend.connparams["db"] == 0


@pytest.mark.parametrize("name", VARIABLES)
def test_one_variable_of_another_app_changes_nothing(name, monkeypatch):
    monkeypatch.setenv(name, VARIABLES[name])
    before = dict(os.environ)
    app = make_celery(Settings(broker_url=OURS))
    assert_isolated(app)
    assert os.environ == before


@pytest.mark.parametrize("backend", ["rpc://", "django-db", "db+sqlite:///results.db", "cache+memory://", "nonsense"])
def test_any_result_backend_of_another_app_changes_nothing(backend, monkeypatch):
    monkeypatch.setenv("CELERY_RESULT_BACKEND", backend)
    assert_isolated(make_celery(Settings(broker_url=OURS)))


def test_variables_still_configure_other_apps_of_the_process(monkeypatch):
    monkeypatch.setenv("CELERY_BROKER_URL", THEIRS)
    make_celery(Settings(broker_url=OURS))
    with Celery("theirs", set_as_current=False) as theirs:
        assert theirs.conf.broker_url == THEIRS


CLIENT = f"""
from hanner import AsyncClient, Client
for client in (Client("{OURS}"), AsyncClient("{OURS}")):
    sender = getattr(client._sender, "blocking", client._sender)
    kwargs = sender.connection.redis.connection_pool.connection_kwargs
    assert kwargs["db"] == 0, kwargs
    with sender.connection._pool.acquire() as connection:
        assert connection.as_uri(include_password=True) == "{OURS}", connection.as_uri()
from hanner_gateway.app import make_app
from hanner.settings import Settings
make_app(Settings(broker_url="{OURS}"))
from celery._state import default_app
assert default_app is None, "the surrounding program has no app yet, and must get its own"
"""


def test_clients_in_a_hostile_folder_and_environment(tmp_path):
    """A celeryconfig module in the working folder that cannot be imported, and all variables at once."""
    (tmp_path / "celeryconfig.py").write_text("raise SystemExit('celeryconfig was imported')")
    environment = {**os.environ, **VARIABLES, "PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", CLIENT], check=True, env=environment, cwd=tmp_path)
