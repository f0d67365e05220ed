"""The fast codec and the standard library agree."""

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
def test_encoded_values_are_decoded_unchanged(value):
    assert json.loads(dumps(value)) == value
    assert loads(dumps(value)) == value
    assert loads(json.dumps(value).encode()) == value


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[1,]", b"nul", b'"\x00"', b"[" * 100_000])
def test_invalid_json_is_rejected(raw):
    with pytest.raises((ValueError, RecursionError)):
        loads(raw)


@pytest.mark.parametrize("text", ["\ud800", "\udfff马云", "马\ud83d"])
def test_lone_surrogates_are_preserved(text):
    assert loads(json.dumps([text]).encode()) == [text]
    assert json.loads(dumps([text])) == [text]


def test_nesting_limit_is_that_of_the_standard_library():
    deep = "[" * 500 + "]" * 500
    assert loads(deep) == json.loads(deep)


def test_unsupported_types_are_rejected():
    with pytest.raises(TypeError):
        dumps({"a": object()})
