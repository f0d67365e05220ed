"""Cutting a stream into requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanner import Document, Entity, InvalidSettings, ModelFailed
from hanner.chunks import PARCEL_CHARACTERS, PARCEL_TEXTS, WINDOW_CHARACTERS, Chunk, ChunkLimits


def packed(*texts, max_chars=100):
    parcel = Chunk()
    for text in texts:
        parcel.add(text, max_chars)
    return parcel


def answer(number):
    return Document(entities=(Entity(text="x", type="PER", start=number, end=number + 1, score=1),))


@given(st.lists(st.one_of(st.text(max_size=20), st.none(), st.integers())))
def test_every_text_gets_its_own_answer(texts):
    parcel = packed(*texts, max_chars=10)
    answers = [answer(number) for number, _ in enumerate(parcel.texts)]
    filled = parcel.fill(answers)
    assert len(filled) == len(texts)
    sent = iter(zip(parcel.texts, answers, strict=True))
    for text, document in zip(texts, filled, strict=True):
        if document.error is None:
            source, expected = next(sent)
            assert source == text
            assert document == expected
            assert document.text == text
        else:
            assert not isinstance(text, str) or len(text) > 10
    assert parcel.characters == sum(map(len, parcel.texts))


def test_a_failed_request_leaves_what_was_known():
    documents = packed("一", 5).fail(ModelFailed("boom"))
    assert (documents[0].error.code, documents[0].error.message) == ("model_failed", "boom")
    assert documents[1].error.code == "invalid_text"


def test_a_parcel_leaves_when_it_is_large():
    bounds = ChunkLimits(window=10_000, max_chars=10**9)
    assert not bounds.complete(packed(*["字"] * (PARCEL_TEXTS - 1)))
    assert bounds.complete(packed(*["字"] * PARCEL_TEXTS))
    assert bounds.complete(packed("字" * PARCEL_CHARACTERS, max_chars=10**9))


@pytest.mark.parametrize(("window", "texts"), [(1, 1), (4, 1), (8, 2), (10_000, PARCEL_TEXTS)])
def test_four_parcels_fit_a_window(window, texts):
    bounds = ChunkLimits(window, 100)
    assert bounds.complete(packed(*["字"] * texts))
    assert texts == 1 or not bounds.complete(packed(*["字"] * (texts - 1)))


def test_a_window_is_full_by_texts_or_by_characters():
    bounds = ChunkLimits(window=4, max_chars=10**9)
    assert not bounds.full([packed("一"), packed("二", None)])
    assert bounds.full([packed("一", "二"), packed(None, None)])
    assert bounds.full([packed("字" * WINDOW_CHARACTERS, max_chars=10**9)])


def test_a_window_is_positive():
    with pytest.raises(InvalidSettings, match="at least 1"):
        ChunkLimits(0, 100)
