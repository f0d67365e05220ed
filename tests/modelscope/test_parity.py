"""The same entities as ModelScope's own pipeline, text by text, on checkpoints of its own classes.

ModelScope tokenises a text in one of three ways, by configuration: with the fast tokenizer, with the slow one (the
default), or character by character. Random CRFs often violate the tagging scheme, so the decoding of paths is compared
as well.
"""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hanner_inference.package import Manifest
from hanner_models.conversion.convert import open_recogniser, write_package
from hanner_models.conversion.graph import Fp32
from hanner_models.source import read_source
from support.modelscope_folders import BIOES, open_pipeline, write_folder, write_weights

pytestmark = pytest.mark.filterwarnings("ignore")

BMES = ("O", *(f"{prefix}-{kind}" for kind in ("PER", "LOC") for prefix in "BMES"))
BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
FAST = {"use_fast": True, "padding": False}
"""Its own padding to 512 tokens only costs time; one kind keeps it."""
KINDS = {
    "fast": {"preprocessor": FAST},
    "fast, padded": {"preprocessor": {"use_fast": True}},
    "fast, cased": {"preprocessor": FAST, "cased": True},
    "characters": {"preprocessor": {"is_split_into_words": True, "padding": False}},
    "BMES": {"preprocessor": FAST, "labels": BMES},
    "no CRF": {"preprocessor": FAST, "labels": BIO, "model": "token-classification-for-ner"},
}


NOTHING_LABELLED = "cannot reshape tensor of 0 elements"
"""ModelScope's error for texts without labelled tokens, such as blank ones; it means that there are no entities."""


class Both:
    """One checkpoint, opened by ModelScope and, as an FP32 package, by hanner."""

    def __init__(self, folder, **options):
        self.folder = folder
        self.theirs = open_pipeline(folder, **options)
        source = read_source(folder)
        manifest = Manifest(
            name="synthetic", source="tests", revision="", labels=source.labels, spans=source.spans,
            tokenizer=source.options,
        )  # fmt: skip
        self._recogniser = open_recogniser(
            write_package(source, folder.parent / f"{folder.name}-fp32", Fp32(), manifest)
        )

    def ours(self, *texts):
        return [[(e.type, e.start, e.end) for e in found] for found in self._recogniser.extract(texts)]


def make(folder, vocabulary, *, cased=False, model="transformer-crf", **options):
    write_folder(folder, vocabulary, model=model, **options)
    if cased:
        (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}), "utf-8")
    crf = model == "transformer-crf"
    return Both(write_weights(folder, "ModelForTokenClassificationWithCRF" if crf else "ModelForTokenClassification"))


@pytest.fixture(scope="module")
def both(tmp_path_factory, vocabulary):
    made = {}

    def get(kind):
        if kind not in made:
            made[kind] = make(tmp_path_factory.mktemp("ck") / "model", vocabulary, **KINDS[kind])
        return made[kind]

    return get


@pytest.fixture(scope="module")
def slow(tmp_path_factory, vocabulary):
    return make(tmp_path_factory.mktemp("slow") / "model", vocabulary, preprocessor={"padding": False})


def disagreements(both, texts):
    return [
        (text, theirs, ours)
        for text, ours in zip(texts, both.ours(*texts), strict=True)
        if (theirs := both.theirs(text)) != ours
    ]


@pytest.mark.parametrize("kind", ["fast", "characters", "no CRF"])
def test_real_texts(both, corpus, kind):
    share = {"fast": 1, "characters": 3, "no CRF": 5}[kind]
    texts = [text for text in corpus[::share] if text.strip() and len(text) < 500]
    assert disagreements(both(kind), texts) == []


@pytest.mark.parametrize("kind", ["fast, padded", "fast, cased", "BMES"])
def test_real_texts_of_other_kinds(both, corpus, kind):
    assert disagreements(both(kind), corpus[::20]) == []


any_text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)
PIECES = (
    *(
        "马云",
        "在",
        "杭州",
        "Apple",
        "iPhone 15",
        "2008",
        "é",
        "e\u0301",
        "Å",
        "ＡＢＣ",
        "１２",
        "한국",
        "😀",
        "👨\u200d👩\u200d👧",
    ),
    *(
        "\u3000",
        " ",
        "\n",
        "\t",
        "\0",
        "\u200b",
        "\ufeff",
        "\ufffd",
        "\ue000",
        "ﬁ",
        "㎏",
        "İ",
        "ß",
        "Σ",
        "ς",
        "…",
        "——",
    ),
    *("[", "]", "##", "龘", "𠮷", "the", "working", "don't", "3.14", "C++", "\u0301", "か\u3099", "\u2028"),
)
mixed = st.lists(st.sampled_from(PIECES), min_size=1, max_size=20).map("".join)


@pytest.mark.parametrize("kind", ["fast", "fast, cased", "characters"])
@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=any_text | mixed)
def test_any_text(both, kind, text):
    pair = both(kind)
    assert pair.ours(text) == [extract_or_none(pair, text, failure=NOTHING_LABELLED) or []]


def extract_or_none(pair, text, *, failure):
    """Return ModelScope's entities, or None if it fails with the known error `failure`."""
    try:
        return pair.theirs(text)
    except (ValueError, RuntimeError) as error:
        if failure not in str(error):
            raise
        return None


def test_slow_tokenizer_where_it_does_not_fail(slow, corpus):
    answered = wrong = 0
    texts = corpus[::5]
    for text, ours in zip(texts, slow.ours(*texts), strict=True):
        theirs = extract_or_none(slow, text, failure="substring not found")
        if theirs is None:
            continue
        answered += 1
        wrong += theirs != ours
    assert answered > len(texts) // 4
    assert wrong == 0


@pytest.mark.parametrize("text", ["马云龘在杭州", "É在杭州"])
def test_modelscope_fails_on_unknown_and_accented_characters(slow, both, text):
    """Its slow path searches each token in the text, and raises ValueError for [UNK] or a letter without its accent.
    The result of its fast path with the same weights is correct.
    """
    with pytest.raises(ValueError, match="substring not found"):
        slow.theirs(text)
    assert slow.ours(text) == [both("fast").theirs(text)]


def test_modelscope_shifts_offsets_after_capital_that_grows(slow, both):
    """Its slow path searches in text.lower(), where İ has two characters: all later offsets are too large by one."""
    text = "İ在杭州，马云在杭州"
    expected = both("fast").theirs(text)
    assert slow.theirs(text) != expected
    assert slow.ours(text) == [expected]


def test_modelscope_truncates_long_texts_and_hanner_does_not(both):
    text = "马云在杭州阿里巴巴总部发表演讲，" * 60
    pair = both("fast")
    assert max(end for _, _, end in pair.theirs(text)) <= 510
    assert max(end for _, _, end in pair.ours(text)[0]) > 510


@pytest.mark.parametrize("text", [" ", "\u3000\n", "\0"])
def test_modelscope_fails_on_blank_texts_and_hanner_does_not(both, text):
    with pytest.raises(RuntimeError, match=NOTHING_LABELLED):
        both("fast").theirs(text)
    assert both("fast").ours(text) == [[]]


def test_modelscope_ends_at_sep_in_text_and_hanner_does_not(both):
    """ModelScope attaches prompts with [SEP]; but a user could write it into a text and hide what follows."""
    text = "马云在杭州[SEP]王小明在北京大学"
    pair = both("fast")
    assert all(end <= text.index("[SEP]") for _, _, end in pair.theirs(text))
    assert any(start > text.index("[SEP]") for _, start, _ in pair.ours(text)[0])


def test_labels_and_tokenisation_match_modelscope(both):
    source = read_source(both("characters").folder)
    assert source.labels == BIOES
    assert (source.options.split, source.options.label_mask, source.spans) == ("characters", "first", "modelscope")
