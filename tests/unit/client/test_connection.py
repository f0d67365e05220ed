"""Errors of the libraries, as a client raises them."""

import pytest
from redis.exceptions import AuthenticationError, ConnectionError, ResponseError  # noqa: A004 - redis-py's own name

from hanner.settings import Settings
from hanner.transport.connection import BrokerConnection


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (AuthenticationError("invalid username-password pair or user is disabled."), "refuses the login"),
        (AuthenticationError("Authentication required."), "correct its user name and password in HANNER_BROKER_URL"),
        (ResponseError("DB index is out of range"), "has no such database"),
        (ResponseError("MISCONF errors writing to the AOF file"), "check its disk, role and permissions"),
        (ConnectionError("Connection refused"), "does not answer"),
    ],
)
def test_the_error_names_what_to_correct(error, words):
    connection = BrokerConnection(Settings(broker_url="redis://:geheim@127.0.0.1:1/99"))
    message = str(connection.translate(error, None))
    assert words in message
    assert "redis://:**@127.0.0.1:1/99" in message
    assert str(error) in message
