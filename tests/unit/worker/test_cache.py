"""The cache of entities: what it keeps, what it gives back, and that it is never a reason to fail."""

import fakeredis
import pytest
import redis

from hanner.contract import Entity
from hanner_worker.execution.cache import PREFIX, Cache, Keys

KEYS = Keys("digest", "onnx", lowercase=True, half_width=True)
TEXT = "马云在ＩＢＭ"
FOUND = [
    Entity(text="马云", type="PER", start=0, end=2, score=0.998321),
    Entity(text="ＩＢＭ", type="ORG", start=3, end=6, score=0.5),
]


@pytest.fixture
def client():
    with fakeredis.FakeRedis() as client:
        yield client


def cache(client, keys=KEYS, ttl=60):
    return Cache(lambda: client, keys, ttl)


def taught(client, found):
    one = cache(client)
    one.learn(found)
    one.keep()


def test_what_was_kept_is_recalled(client):
    taught(client, {TEXT: FOUND, "空": []})
    assert cache(client).recall([TEXT, "新", "空"]) == {TEXT: FOUND, "空": []}
    assert cache(client).recall([]) == {}


def test_entries_expire_and_say_nothing_of_the_text(client):
    taught(client, {TEXT: FOUND})
    (key,) = client.keys()
    assert key.decode().startswith(PREFIX)
    assert 0 < client.ttl(key) <= 60
    assert b"[[" in client.get(key)
    assert not any(character.encode() in key + client.get(key) for character in "马云ＩIi")


def test_a_text_that_is_the_same_to_the_model_is_known_and_keeps_its_own_letters(client):
    taught(client, {TEXT: FOUND})
    assert [e.text for e in cache(client).recall(["马云在ibm"])["马云在ibm"]] == ["马云", "ibm"]
    assert cache(client, Keys("digest", "onnx", lowercase=False, half_width=True)).recall(["马云在IBM"]) == {}


@pytest.mark.parametrize("keys", [Keys("other", "onnx", True, True), Keys("digest", "torch", True, True)])
def test_another_model_or_engine_knows_nothing_of_it(client, keys):
    taught(client, {TEXT: FOUND})
    assert cache(client, keys).recall([TEXT]) == {}


@pytest.mark.parametrize(
    "value", [b"", b"nonsense", b"\xff", b"7", b"[1]", b"[[1,2]]", b'[["PER",2,"x",0.5]]', b"[[7,0,2,9]]"]
)
def test_a_spoilt_entry_is_none(client, value):
    client.set(KEYS.of(TEXT), value)
    assert cache(client).recall([TEXT]) == {}


class Broken:
    def __init__(self, error):
        self._error = error

    def mget(self, keys):
        raise self._error

    def pipeline(self, **_):
        raise self._error


@pytest.mark.parametrize("error", [redis.ConnectionError("gone"), redis.ResponseError("OOM"), OSError("gone")])
def test_redis_failing_fails_nothing(error, caplog):
    broken = cache(Broken(error))
    assert broken.recall([TEXT]) == {}
    broken.learn({TEXT: FOUND})
    broken.keep()
    assert "could not be read" in caplog.text
    assert "could not be written" in caplog.text
    assert TEXT not in caplog.text
