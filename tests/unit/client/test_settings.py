"""Settings from the environment."""

import re

import pytest

import hanner
from hanner import Client, InvalidSettings, Settings
from hanner.settings import removed_variables


def test_defaults():
    settings = Settings.from_env({})
    assert settings.broker_url == "redis://localhost:6379/0"
    assert settings.timeout == 30


def test_overrides_take_precedence_over_the_environment(monkeypatch):
    monkeypatch.setenv("HANNER_TIMEOUT", "7")
    monkeypatch.setenv("HANNER_QUEUE", "")
    monkeypatch.setenv("HANNER_BROKER_URL", "redis://other:1/2")
    assert Client().settings.timeout == 7
    assert Client().settings.queue == "hanner"
    assert Client().settings.broker_url == "redis://other:1/2"
    assert Client("redis://mine/0", timeout=8).settings.broker_url == "redis://mine/0"
    assert Client(timeout=8).settings.timeout == 8


def test_given_settings_ignore_the_environment(monkeypatch):
    monkeypatch.setenv("HANNER_TIMEOUT", "7")
    assert Client(settings=Settings()).settings.timeout == 30
    assert Client("redis://h/0", settings=Settings(queue="q"), timeout=2).settings == Settings(
        broker_url="redis://h/0", queue="q", timeout=2
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HANNER_TIMEOUT", "soon"),
        ("HANNER_TIMEOUT", "0"),
        ("HANNER_CONNECT_TIMEOUT", "-1"),
        ("HANNER_RESULT_TTL", "1.5"),
        ("HANNER_LOG_TEXT", "perhaps"),
        ("HANNER_MAX_TEXT_CHARS", "0"),
    ],
)
def test_invalid_values_are_reported_by_name(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    message = f'^{name} is "{value}", but must be .*; correct it, or unset it for the default, '
    with pytest.raises(InvalidSettings, match=message):
        Client()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("LEASE", "abc", 'HANNER_LEASE is "abc", but must be a number from 1 to 60; correct it, or unset it for the '),
        ("LEASE", "abc", "for the default, 5"),
        ("TIMEOUT", "0", "must be a number greater than 0;"),
        ("BATCH_MS", "-1", "must be a number of at least 0;"),
        ("LOG_TEXT", "perhaps", "must be 1 or 0; correct it, or unset it for the default, 0"),
        ("QUEUE", "x.bulk", 'HANNER_QUEUE is "x.bulk", but names that end in .bulk are reserved'),
        ("QUEUE", "x\x06\x163", "must have printable characters only, and no spaces at either end; choose another"),
        ("QUEUE", " x", "must have printable characters only, and no spaces at either end"),
        ("ROUTES", "news=x\x07", "'news=x\\x07' is not a route"),
    ],
)
def test_invalid_value_is_reported_with_the_allowed_range(name, value, message):
    with pytest.raises(InvalidSettings, match=re.escape(message)) as caught:
        Settings.from_env({f"HANNER_{name}": value})
    assert "Input should" not in str(caught.value)
    assert "Value error" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"queue": "x.bulk"}, 'queue is "x.bulk", but names that end in .bulk'),
        ({"queue": ""}, 'queue is "", but must not be empty; correct it, or omit it for the default, hanner'),
        ({"queue": 5}, "queue is 5, but must be a string;"),
        ({"que": "x"}, "hanner has no setting 'que'; did you mean 'queue'?"),
        ({"speed": 11}, "hanner has no setting 'speed'; docs/reference/settings.md lists all settings"),
    ],
)
def test_invalid_argument_is_reported_by_its_name(settings, message):
    with pytest.raises(InvalidSettings, match="^" + re.escape(message)):
        Client(**settings)


@pytest.mark.parametrize("name", ["api_keys", "broker_url"])
def test_secret_values_are_not_shown(name):
    with pytest.raises(InvalidSettings, match=f"^{name} must be a string; correct it") as caught:
        Settings.from_env({}, **{name: ["geheim"]})
    assert "geheim" not in str(caught.value)


def test_value_from_a_file(tmp_path):
    secret = tmp_path / "broker-url"
    secret.write_text("redis://worker:geheim@redis:6379/0\n")
    environ = {"HANNER_BROKER_URL": "", "HANNER_BROKER_URL_FILE": str(secret)}
    assert Settings.from_env(environ).broker_url == "redis://worker:geheim@redis:6379/0"
    assert Settings.from_env(environ | {"HANNER_BROKER_URL": "redis://h/1"}).broker_url == "redis://h/1"
    assert Settings.from_env(environ, broker_url="redis://h/2").broker_url == "redis://h/2"


def test_invalid_value_from_a_file_is_reported_with_the_files_variable(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("soon\n")
    with pytest.raises(InvalidSettings, match=r'^HANNER_TIMEOUT_FILE is "soon", but must be a number'):
        Settings.from_env({"HANNER_TIMEOUT_FILE": str(secret)})
    with pytest.raises(InvalidSettings, match=r"^HANNER_BROKER_URL_FILE cannot be used: 'soon'; write redis://"):
        Settings.from_env({"HANNER_BROKER_URL_FILE": str(secret)})


def test_unreadable_file_is_reported_by_name(tmp_path):
    with pytest.raises(InvalidSettings, match=r"HANNER_API_KEYS_FILE cannot be used: .*/keys cannot be read \(No such"):
        Settings.from_env({"HANNER_API_KEYS_FILE": str(tmp_path / "keys")})
    (tmp_path / "keys").write_bytes(b"\xff")
    with pytest.raises(InvalidSettings, match="not UTF-8"):
        Settings.from_env({"HANNER_API_KEYS_FILE": str(tmp_path / "keys")})


def test_every_public_name_can_be_imported():
    for name in hanner.__all__:
        assert getattr(hanner, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = hanner.nothing


def test_removed_settings_are_named_with_the_reason():
    (sentence,) = removed_variables({"HANNER_MAX_WAIT_MS": "100", "HANNER_MAX_PADDING": "", "HANNER_TIMEOUT": "3"})
    assert sentence.startswith("HANNER_MAX_WAIT_MS has no effect any more: ")
    assert "HANNER_BATCH_MS" in sentence
    assert len(removed_variables({"HANNER_MAX_PADDING_FILE": "/x"})) == 1
    with pytest.raises(InvalidSettings, match=r"^hanner no longer has the setting 'max_padding': "):
        Settings.from_env({}, max_padding=0.1)
    assert Settings.from_env({"HANNER_MAX_WAIT_MS": "100"}) == Settings()
