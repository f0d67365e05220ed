"""Names of models that label characters do not begin or end inside of a word in an alphabet."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanner_inference.decoding.crf import Crf
from hanner_inference.decoding.labels import Labels
from hanner_inference.decoding.spans import decode
from hanner_inference.decoding.words import find_words, keep_words_whole

BIOES = Labels(("O", *(f"{prefix}-{kind}" for kind in ("PER", "ORG") for prefix in "BIES")))
BMES = Labels(tuple(name.replace("I-", "M-") for name in BIOES.names))


def strict_crf(labels):
    """Return a CRF that allows only the paths of the scheme."""

    def follows(one, other):
        opened = one[0] in "BIM"
        return (other[0] in "IME" and one[2:] == other[2:]) if opened else other[0] not in "IME"

    table = [[0.0 if follows(one, other) else -50.0 for other in labels.names] for one in labels.names]
    start = [-50.0 if name[0] in "IME" else 0.0 for name in labels.names]
    end = [-50.0 if name[0] in "BIM" else 0.0 for name in labels.names]
    return Crf(np.array(start), np.array(end), np.array(table))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("马云在杭州。", []),
        ("A股和C罗", []),
        ("Tim Cook到访G20峰会", [(0, 3), (4, 8), (10, 13)]),
        ("Ｔｉｍ在ＡＢ１２", [(0, 3), (4, 8)]),
        ("Beyoncé、Müller、Пётр", [(0, 7), (8, 14), (15, 19)]),
        ("a×b÷c", []),
    ],
)
def test_words_are_two_or_more_letters_and_digits(text, words):
    assert find_words(text) == words


def test_a_name_that_would_be_cut_inside_of_a_word_gets_the_whole_word():
    text = "Apple Store开业"
    emissions = np.zeros((1, len(text), len(BIOES)), dtype=np.float32)
    emissions[0, :, 0] = 1
    for place, label in enumerate(["B-ORG", *["I-ORG"] * 6, "E-ORG"]):  # Apple St
        emissions[0, place, BIOES.names.index(label)] = 5
    lengths, crf = np.array([len(text)]), strict_crf(BIOES)
    ((cut,),) = decode(emissions, lengths, crf, BIOES)
    assert (cut.start, cut.end) == (0, 8)
    ((whole,),) = decode(keep_words_whole(emissions, [find_words(text)], BIOES), lengths, crf, BIOES)
    assert (whole.start, whole.end, whole.type) == (0, 11, "ORG")
    assert 0 < whole.score <= 1


@given(
    st.lists(st.text(st.sampled_from("马云在ab1Ｚé "), min_size=1, max_size=12), min_size=1, max_size=4),
    st.sampled_from([BIOES, BMES]),
    st.integers(0, 2**32 - 1),
)
def test_no_name_begins_or_ends_inside_of_a_word(texts, labels, seed):
    lengths = np.array([len(text) for text in texts])
    emissions = np.random.default_rng(seed).normal(0, 3, (len(texts), lengths.max(), len(labels))).astype(np.float32)
    words = [find_words(text) for text in texts]
    before = emissions.copy()
    kept = keep_words_whole(emissions, words, labels)
    np.testing.assert_array_equal(emissions, before)
    for spans, found in zip(decode(kept, lengths, strict_crf(labels), labels), words, strict=True):
        for span in spans:
            for place in (span.start, span.end):
                assert not any(start < place < end for start, end in found)


def test_rows_without_words_are_not_copied():
    emissions = np.zeros((1, 3, len(BIOES)), dtype=np.float32)
    assert keep_words_whole(emissions, [[]], BIOES) is emissions
