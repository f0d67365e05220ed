"""Downloads with a fake of ModelScope's client."""

import re
import sys
from types import ModuleType, SimpleNamespace

import pytest
from typer.testing import CliRunner

from hanner.utils.packaging import install_hint
from hanner_inference.package import open_package
from hanner_models import fetch as hub
from hanner_models.cli import app
from hanner_models.fetch import DEFAULT_MODEL, fetch
from hanner_models.source import ConversionError
from support.taggers import write_tagger


class NetworkError(ConnectionError):
    """Has the name of an error of modelscope."""


class NotExistError(Exception):
    """Has the name of an error of modelscope."""


class RequestFailedError(Exception):
    def __init__(self, code):
        super().__init__(f"HTTP {code}\nmore")
        self.response = SimpleNamespace(status_code=code)


@pytest.fixture
def client(monkeypatch):
    """A fake client: snapshot_download returns or raises `answer` and records `calls`."""
    fake = SimpleNamespace(answer=None, calls=[])

    def snapshot_download(model, **options):
        fake.calls.append((model, options))
        if isinstance(fake.answer, BaseException):
            raise fake.answer
        return fake.answer

    module = ModuleType("modelscope")
    module.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "modelscope", module)
    return fake


def test_downloaded_model_is_converted_and_states_its_origin(client, tmp_path):
    client.answer = str(write_tagger(tmp_path / "cache"))
    out = tmp_path / "out"
    result = CliRunner().invoke(
        app, ["fetch", "iic/some-model", "--revision", "v1", "--out", str(out), "--scheme", "token", "--force"]
    )
    assert result.exit_code == 0, result.output
    (model, options), *more = client.calls
    assert (model, options["revision"], more) == ("iic/some-model", "v1", [])
    manifest = open_package(out).manifest
    assert (manifest.source, manifest.revision, manifest.name) == ("iic/some-model", "v1", "out")


def test_default_is_the_news_model(client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    client.answer = NetworkError("no route")
    result = CliRunner().invoke(app, ["fetch"])
    assert result.exit_code == 2
    assert client.calls[0][0] == DEFAULT_MODEL
    assert list(tmp_path.iterdir()) == []


def chained(outer, inner):
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (NetworkError("x"), "cannot be reached; check the network"),
        (TimeoutError("x"), "cannot be reached"),
        (chained(ValueError("x"), NetworkError("y")), "cannot be reached"),
        (NotExistError("x"), "the hub has no readable model iic/some-model with revision v1"),
        (RequestFailedError(404), "the hub has no readable model"),
        (RequestFailedError(500), "could not be downloaded (HTTP 500)"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_download_error_is_one_line_with_next_step(client, error, message):
    client.answer = error
    with pytest.raises(ConversionError) as caught:
        fetch("iic/some-model", "v1")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_modelscope_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "modelscope", None)
    with pytest.raises(ConversionError, match=re.escape(install_hint("models"))):
        fetch(DEFAULT_MODEL)


@pytest.mark.parametrize("model", ["", "name", "a/b/c", "../etc", "a/../b", "a b/c", "-x/y"])
def test_invalid_id_is_not_sent_to_the_hub(client, model):
    with pytest.raises(ConversionError, match="owner/name"):
        hub.fetch(model)
    assert client.calls == []
