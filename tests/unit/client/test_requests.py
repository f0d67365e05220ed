"""Chunks: which texts are sent together, and how results are merged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanner import Document, Entity, InvalidSettings, ModelFailed
from hanner._requests import CHUNK_CHARACTERS, CHUNK_TEXTS, WINDOW_CHARACTERS, Chunk, ChunkLimits


def make_chunk(*texts, max_chars=100):
    chunk = Chunk()
    for text in texts:
        chunk.add(text, max_chars)
    return chunk


def answer(number):
    return Document(entities=(Entity(text="x", type="PER", start=number, end=number + 1, score=1),))


@given(st.lists(st.one_of(st.text(max_size=20), st.none(), st.integers())))
def test_merge_returns_the_result_of_each_text(texts):
    chunk = make_chunk(*texts, max_chars=10)
    answers = [answer(number) for number, _ in enumerate(chunk.texts)]
    filled = chunk.merge(answers)
    assert len(filled) == len(texts)
    sent = iter(zip(chunk.texts, answers, strict=True))
    for text, document in zip(texts, filled, strict=True):
        if document.error is None:
            source, expected = next(sent)
            assert source == text
            assert document == expected
            assert document.text == text
        else:
            assert not isinstance(text, str) or len(text) > 10
    assert chunk.characters == sum(map(len, chunk.texts))


def test_fail_keeps_the_errors_of_invalid_texts():
    documents = make_chunk("一", 5).fail(ModelFailed("boom"))
    assert (documents[0].error.code, documents[0].error.message) == ("model_failed", "boom")
    assert documents[1].error.code == "invalid_text"


@pytest.mark.parametrize(
    ("text", "advice"), [(b"\xe9", "decode bytes"), (bytearray(1), "decode bytes"), (None, "omit it"), (5, "omit it")]
)
def test_the_error_of_a_text_of_another_type_has_advice_for_this_type(text, advice):
    (error,) = (result.error for result in make_chunk(text).results)
    assert advice in error.message
    assert type(text).__name__ in error.message


def test_chunk_is_complete_at_its_size_limits():
    limits = ChunkLimits(window=10_000, max_chars=10**9)
    assert not limits.is_complete(make_chunk(*["字"] * (CHUNK_TEXTS - 1)))
    assert limits.is_complete(make_chunk(*["字"] * CHUNK_TEXTS))
    assert limits.is_complete(make_chunk("字" * CHUNK_CHARACTERS, max_chars=10**9))


@pytest.mark.parametrize(("window", "texts"), [(1, 1), (4, 1), (8, 2), (10_000, CHUNK_TEXTS)])
def test_four_chunks_fit_a_window(window, texts):
    limits = ChunkLimits(window, 100)
    assert limits.is_complete(make_chunk(*["字"] * texts))
    assert texts == 1 or not limits.is_complete(make_chunk(*["字"] * (texts - 1)))


def test_window_is_full_by_texts_or_by_characters():
    limits = ChunkLimits(window=4, max_chars=10**9)
    assert not limits.is_full([make_chunk("一"), make_chunk("二", None)])
    assert limits.is_full([make_chunk("一", "二"), make_chunk(None, None)])
    assert limits.is_full([make_chunk("字" * WINDOW_CHARACTERS, max_chars=10**9)])


def test_window_must_be_positive():
    with pytest.raises(InvalidSettings, match="at least 1"):
        ChunkLimits(0, 100)
