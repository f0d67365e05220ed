"""Fetching, with ModelScope's client played by the test: what fails becomes one sentence, what comes is converted."""

import re
import sys
from types import ModuleType, SimpleNamespace

import pytest
from typer.testing import CliRunner

from hanner.utils.packaging import install_hint
from hanner_inference.package import open_package
from hanner_models import fetch as hub
from hanner_models.cli import app
from hanner_models.fetch import DEFAULT, fetch
from hanner_models.source import ConversionError
from support.taggers import write_tagger


class NetworkError(ConnectionError):
    """As modelscope's."""


class NotExistError(Exception):
    """As modelscope's."""


class RequestFailedError(Exception):
    def __init__(self, code):
        super().__init__(f"HTTP {code}\nmore")
        self.response = SimpleNamespace(status_code=code)


@pytest.fixture
def client(monkeypatch):
    """Set `answer` to what snapshot_download returns or raises; `calls` says how it was called."""
    played = SimpleNamespace(answer=None, calls=[])

    def snapshot_download(model, **options):
        played.calls.append((model, options))
        if isinstance(played.answer, BaseException):
            raise played.answer
        return played.answer

    module = ModuleType("modelscope")
    module.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "modelscope", module)
    return played


def test_what_was_downloaded_is_converted_and_says_where_it_is_from(client, tmp_path):
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


def test_the_news_model_is_the_default(client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    client.answer = NetworkError("no route")
    result = CliRunner().invoke(app, ["fetch"])
    assert result.exit_code == 2
    assert client.calls[0][0] == DEFAULT
    assert list(tmp_path.iterdir()) == []


def chained(outer, inner):
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (NetworkError("x"), "cannot be reached; connect to the network"),
        (TimeoutError("x"), "cannot be reached"),
        (chained(ValueError("x"), NetworkError("y")), "cannot be reached"),
        (NotExistError("x"), "the hub has no model iic/some-model with revision v1"),
        (RequestFailedError(404), "the hub has no model"),
        (RequestFailedError(500), "could not be downloaded (HTTP 500)"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_a_failure_is_one_sentence_that_says_what_to_do(client, error, sentence):
    client.answer = error
    with pytest.raises(ConversionError) as caught:
        fetch("iic/some-model", "v1")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_modelscope_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "modelscope", None)
    with pytest.raises(ConversionError, match=re.escape(install_hint("models"))):
        fetch(DEFAULT)


@pytest.mark.parametrize("model", ["", "name", "a/b/c", "../etc", "a/../b", "a b/c", "-x/y"])
def test_what_is_no_id_never_reaches_the_hub(client, model):
    with pytest.raises(ConversionError, match="owner/name"):
        hub.fetch(model)
    assert client.calls == []
