"""The cache of entities: its entries, and that its errors do not fail a request."""

import fakeredis
import pytest
import redis

from hanner.results import Entity
from hanner_inference.tokenization.options import TokenizerOptions
from hanner_worker.execution.cache import PREFIX, EntityCache

FOLDED = TokenizerOptions(lowercase=True, half_width=True, fold_traditional=True, max_length=64).normalise
CASED = TokenizerOptions(lowercase=False, half_width=True, max_length=64).normalise
OPTIONS = {"model": "digest", "engine": "onnx", "normalise": FOLDED}
TEXT = "马云在ＩＢＭ"
FOUND = [
    Entity(text="马云", type="PER", start=0, end=2, score=0.998321),
    Entity(text="ＩＢＭ", type="ORG", start=3, end=6, score=0.5),
]


@pytest.fixture
def client():
    with fakeredis.FakeRedis() as client:
        yield client


def cache(client, **options):
    return EntityCache(lambda: client, 60, **OPTIONS | options)


def write(client, found):
    one = cache(client)
    one.put(found)
    one.flush()


def test_entries_are_read_as_they_were_written(client):
    write(client, {TEXT: FOUND, "空": []})
    assert cache(client).get([TEXT, "新", "空"]) == {TEXT: FOUND, "空": []}
    assert cache(client).get([]) == {}


def test_entries_expire_and_do_not_contain_the_text(client):
    write(client, {TEXT: FOUND})
    (key,) = client.keys()
    assert key.decode().startswith(PREFIX)
    assert 0 < client.ttl(key) <= 60
    assert b"[[" in client.get(key)
    assert not any(character.encode() in key + client.get(key) for character in "马云ＩIi")


def test_a_text_that_is_the_same_to_the_model_is_found_and_keeps_its_own_letters(client):
    write(client, {TEXT: FOUND})
    assert [e.text for e in cache(client).get(["马云在ibm"])["马云在ibm"]] == ["马云", "ibm"]
    assert [e.text for e in cache(client).get(["馬雲在IBM"])["馬雲在IBM"]] == ["馬雲", "IBM"]
    assert cache(client, normalise=CASED).get(["马云在IBM"]) == {}


@pytest.mark.parametrize("other", [{"model": "other"}, {"engine": "torch"}, {"dictionary": "x"}, {"normalise": str}])
def test_another_model_engine_or_dictionary_has_entries_of_its_own(client, other):
    write(client, {TEXT: FOUND})
    assert cache(client, **other).get([TEXT]) == {}


@pytest.mark.parametrize(
    "value", [b"", b"nonsense", b"\xff", b"7", b"[1]", b"[[1,2]]", b'[["PER",2,"x",0.5]]', b"[[7,0,2,9]]"]
)
def test_an_entry_that_cannot_be_read_is_ignored(client, value):
    client.set(cache(client).key(TEXT), value)
    assert cache(client).get([TEXT]) == {}


class Broken:
    def __init__(self, error):
        self._error = error

    def mget(self, keys):
        raise self._error

    def pipeline(self, **_):
        raise self._error


@pytest.mark.parametrize("error", [redis.ConnectionError("gone"), redis.ResponseError("OOM"), OSError("gone")])
def test_errors_of_redis_are_logged_only(error, caplog):
    broken = cache(Broken(error))
    assert broken.get([TEXT]) == {}
    broken.put({TEXT: FOUND})
    broken.flush()
    assert "could not be read" in caplog.text
    assert "could not be written" in caplog.text
    assert TEXT not in caplog.text
