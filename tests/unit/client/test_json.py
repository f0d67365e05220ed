"""The fast way and the standard library agree on everything that may come."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanner.utils.json import dumps, loads

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
)


@given(VALUES)
def test_what_is_written_is_read_back(value):
    assert json.loads(dumps(value)) == value
    assert loads(dumps(value)) == value
    assert loads(json.dumps(value).encode()) == value


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[1,]", b"nul", b'"\x00"', b"[" * 100_000])
def test_what_is_no_json_is_refused(raw):
    with pytest.raises((ValueError, RecursionError)):
        loads(raw)


@pytest.mark.parametrize("text", ["\ud800", "\udfff马云", "马\ud83d"])
def test_lone_surrogates_come_through(text):
    assert loads(json.dumps([text]).encode()) == [text]
    assert json.loads(dumps([text])) == [text]


def test_depth_is_the_standard_librarys_business():
    deep = "[" * 500 + "]" * 500
    assert loads(deep) == json.loads(deep)


def test_what_json_has_not_is_refused():
    with pytest.raises(TypeError):
        dumps({"a": object()})
