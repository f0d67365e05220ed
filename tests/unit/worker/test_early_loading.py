"""The model is loaded in a thread while Celery is imported, if the worker's arguments allow it."""

import threading
from pathlib import Path

import pytest

from hanner.errors import HannerError
from hanner.settings import Settings
from hanner_worker import early_loading
from hanner_worker.app import load_model


@pytest.fixture
def settings(tiny_package, monkeypatch):
    monkeypatch.setattr(early_loading, "share_heap", lambda: None)
    return Settings.from_env({}, broker_url="redis://localhost/0", model=str(tiny_package))


def test_worker_takes_the_model_that_the_thread_loaded(settings):
    early_loading.start(settings, ["-n", "a@b", "-c", "2"])
    early = early_loading.take(settings)
    assert early is not None
    recogniser = early.result()
    assert early.result() is recogniser
    assert recogniser.package.path == Path(settings.model)
    assert early_loading.take(settings) is None


def test_error_of_the_thread_is_raised_where_the_model_is_needed(settings, tmp_path):
    missing = settings.model_copy(update={"model": str(tmp_path / "none")})
    early_loading.start(missing, [])
    with pytest.raises(HannerError, match="none"):
        load_model(missing)


def test_model_for_other_settings_is_not_used(settings):
    early_loading.start(settings, [])
    assert early_loading.take(settings.model_copy(update={"queue": "other"})) is None
    assert "hanner-early-load" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("argument", ["--help", "--workdir=/tmp", "--uid", "--detach", "-D", "-ED"])
def test_nothing_is_loaded_early_if_the_process_will_change_or_only_print(settings, argument):
    early_loading.start(settings, ["-c", "2", argument])
    assert early_loading.take(settings) is None


def test_another_engine_is_loaded_by_the_main_thread(settings):
    other = settings.model_copy(update={"engine": "torch"})
    early_loading.start(other, [])
    assert early_loading.take(other) is None
