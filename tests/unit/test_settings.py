"""Settings from the environment."""

import pytest

import nerq
from nerq import Client, InvalidSettings, Settings


def test_defaults():
    settings = Settings.from_env({})
    assert settings.broker_url == "redis://localhost:6379/0"
    assert settings.timeout == 30


def test_the_environment_and_what_wins_over_it(monkeypatch):
    monkeypatch.setenv("NERQ_TIMEOUT", "7")
    monkeypatch.setenv("NERQ_QUEUE", "")
    monkeypatch.setenv("NERQ_BROKER_URL", "redis://other:1/2")
    assert Client().settings.timeout == 7
    assert Client().settings.queue == "nerq"
    assert Client().settings.broker_url == "redis://other:1/2"
    assert Client("redis://mine/0", timeout=8).settings.broker_url == "redis://mine/0"
    assert Client(timeout=8).settings.timeout == 8


def test_given_settings_leave_the_environment_aside(monkeypatch):
    monkeypatch.setenv("NERQ_TIMEOUT", "7")
    assert Client(settings=Settings()).settings.timeout == 30
    assert Client("redis://h/0", settings=Settings(queue="q"), timeout=2).settings == Settings(
        broker_url="redis://h/0", queue="q", timeout=2
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NERQ_TIMEOUT", "soon"),
        ("NERQ_TIMEOUT", "0"),
        ("NERQ_CONNECT_TIMEOUT", "-1"),
        ("NERQ_RESULT_TTL", "1.5"),
        ("NERQ_LOG_TEXT", "perhaps"),
        ("NERQ_MAX_TEXT_CHARS", "0"),
        ("NERQ_BROKER_URL", "amqp://h"),
    ],
)
def test_values_that_cannot_be_used_are_named(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings, match=f"{name} cannot be used"):
        Client()


def test_unknown_settings_are_named():
    with pytest.raises(InvalidSettings, match="NERQ_SPEED"):
        Client(speed=11)


def test_every_public_name_can_be_had():
    for name in nerq.__all__:
        assert getattr(nerq, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = nerq.nothing
