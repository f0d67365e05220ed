"""The whole pipeline with tiny models, of tokens and of characters: offsets, batches, long texts, limits, forks."""

import os
import pickle
import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanner.errors import InvalidText, ModelFailed
from hanner.settings import Settings
from hanner_inference import ModelPackageError, Recogniser, RunStats, load, open_package, pipeline
from hanner_inference.decoding.consistency import agree_on_types
from hanner_inference.engine.base import Batch
from hanner_inference.engine.onnx import OnnxEngine
from hanner_inference.package import write_manifest
from support.packages import write_tiny_package
from support.piece_packages import write_tiny_piece_package

chinese = st.text(st.sampled_from("马云在杭州阿里巴巴总部发表演讲。！\n张三李四 Ａｂｃ12，"), max_size=60)
any_text = st.text(st.characters(codec="utf-8"), max_size=80) | chinese


@pytest.fixture(scope="module", params=["tiny_package", "tiny_piece_package"])
def folder(request):
    """The folder of a package that labels tokens, and of one that labels characters."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def ner(folder):
    return load(folder, settings=Settings())


@pytest.fixture(scope="module")
def words(tiny_package):
    return load(tiny_package, settings=Settings())


@pytest.fixture(scope="module")
def pieces(tiny_piece_package):
    return load(tiny_piece_package, settings=Settings())


@pytest.fixture(scope="module")
def short_words(tmp_path_factory):
    return load(write_tiny_package(tmp_path_factory.mktemp("short"), max_length=16), settings=Settings(batch_texts=3))


@pytest.fixture(scope="module")
def short_pieces(tmp_path_factory):
    folder = write_tiny_piece_package(tmp_path_factory.mktemp("short"), max_length=16)
    return load(folder, settings=Settings(batch_texts=3))


@pytest.fixture(scope="module")
def first_pieces(tmp_path_factory):
    """Like RaNER: only the first piece of a word has a label."""
    folder = write_tiny_package(tmp_path_factory.mktemp("first"), max_length=16, label_mask="first", spans="modelscope")
    return load(folder, settings=Settings(batch_texts=3))


@pytest.fixture(scope="module")
def characters(tmp_path_factory):
    folder = write_tiny_package(
        tmp_path_factory.mktemp("characters"), max_length=16, label_mask="first", split="characters"
    )
    return load(folder, settings=Settings(batch_texts=3))


@pytest.fixture(scope="module", params=[write_tiny_package, write_tiny_piece_package])
def folding(request, tmp_path_factory):
    return load(request.param(tmp_path_factory.mktemp("folding"), fold_traditional=True), settings=Settings())


MODELS = ["words", "short_words", "first_pieces", "characters", "pieces", "short_pieces"]


def assert_same(left, right):
    assert [(e.text, e.type, e.start, e.end) for e in left] == [(e.text, e.type, e.start, e.end) for e in right]
    assert [e.score for e in left] == pytest.approx([e.score for e in right], abs=1e-4)


@given(texts=st.lists(any_text, max_size=12))
@pytest.mark.parametrize("which", MODELS)
def test_entities_are_slices_of_the_text_in_order(which, texts, request):
    documents = request.getfixturevalue(which).extract(texts)
    assert len(documents) == len(texts)
    for text, entities in zip(texts, documents, strict=True):
        previous_end = 0
        for entity in entities:
            assert entity.text == text[entity.start : entity.end] == entity.text.strip() != ""
            assert previous_end <= entity.start < entity.end <= len(text)
            previous_end = entity.end


@given(texts=st.lists(any_text, min_size=1, max_size=12))
@pytest.mark.parametrize("which", MODELS)
def test_a_text_has_the_same_entities_alone_and_in_a_batch(which, texts, request):
    recogniser = request.getfixturevalue(which)
    for text, together in zip(texts, recogniser.extract(texts), strict=True):
        assert_same(together, recogniser.extract([text])[0])


@given(texts=st.lists(any_text, min_size=1, max_size=12))
def test_characters_have_exactly_the_same_scores_alone_and_in_a_batch(pieces, short_pieces, texts):
    for recogniser in (pieces, short_pieces):
        assert recogniser.extract(texts) == [recogniser.extract([text])[0] for text in texts]


def test_blank_texts_never_reach_the_engine(folder):
    class NoEngine:
        def run(self, batch):
            raise AssertionError

    recogniser = Recogniser(open_package(folder), NoEngine())
    assert recogniser.extract(["", " ", "\n　\t", "\0"]) == [[], [], [], []]
    assert recogniser.extract([]) == []


class Oracle:
    """An engine that tags every 马 followed by 云 in the same window as a person, and nothing else."""

    def __init__(self, package):
        self.ids = [package.tokenizer().encode(character).ids[0] for character in "马云"]
        self.batches = []

    def run(self, batch):
        self.batches.append(batch.input_ids.shape)
        ids = batch.input_ids if batch.characters is None else batch.characters.ids
        scores = np.zeros((*ids.shape, 7), dtype=np.float32)
        first, second = self.ids
        rows, columns = np.nonzero((ids[:, :-1] == first) & (ids[:, 1:] == second))
        scores[:, :, 0] = 50
        scores[rows, columns] = scores[rows, columns + 1] = 0
        scores[rows, columns, 1] = scores[rows, columns + 1, 2] = 50
        return scores


@pytest.fixture(scope="module")
def oracle(folder):
    package = open_package(folder)
    return Recogniser(package, Oracle(package), overlap=8)


@given(st.lists(st.sampled_from(["马云", "在", "杭", "。", "\n", "😀"]), min_size=40, max_size=400))
def test_every_entity_of_a_long_text_is_found_exactly_once(oracle, parts):
    text = "".join(parts)
    (entities,) = oracle.extract([text])
    found = [entity.start for entity in entities]
    assert found == [index for index in range(len(text)) if text.startswith("马云", index)]
    assert {entity.text for entity in entities} <= {"马云"}


def test_batches_respect_the_limits(folder):
    package = open_package(folder)
    engine = Oracle(package)
    recogniser = Recogniser(package, engine, batch_texts=4, batch_tokens=100, max_padding=0.1)
    entities, stats = recogniser.run(["马云" * (1 + number % 40) for number in range(50)])
    assert len(entities) == 50
    assert all(rows <= 4 and (rows * length <= 100 or rows == 1) for rows, length in engine.batches)
    assert stats.batches == len(engine.batches)
    assert stats.padded_tokens == sum(rows * length for rows, length in engine.batches)
    assert stats.windows == sum(rows for rows, _ in engine.batches)
    assert 0 <= stats.padding <= 0.1
    assert min(stats.tokenise, stats.infer, stats.decode) > 0


@pytest.mark.parametrize("name", MODELS)
def test_interrupted_runs_find_the_same_as_one_run(request, name, monkeypatch):
    """Each run is interrupted after one run of the engine; a long text is continued in the middle."""
    monkeypatch.setattr(pipeline, "PART_TOKENS", 20)
    model = request.getfixturevalue(name)
    texts = ["马云在杭州", "张三李四 Ａｂｃ12，", "阿里巴巴总部发表演讲。" * 9, "", "马云\n" * 20, "１２"]
    expected = dict(zip(texts, model.extract(texts), strict=True))
    spans, found, runs = {}, {}, 0
    while len(found) < len(texts):
        found, stats = model.run_until(texts, pipeline.Interruption(lambda: True, 20, spans))
        spans = pickle.loads(pickle.dumps(spans))
        assert stats.batches <= 1
        runs += stats.batches
    assert runs > 1
    for text in texts:
        assert_same(found[text], expected[text])
    assert model.run_until(texts, pipeline.Interruption(lambda: True, 20, spans))[1].batches == 0


def test_a_run_that_is_not_interrupted_finds_all_texts(ner):
    texts = ["马云在杭州", "张三李四" * 99]
    found, stats = ner.run_until(texts, pipeline.Interruption(lambda: False, 4096, {}))
    assert list(found.values()) == ner.extract(texts)
    assert stats.batches == ner.run(texts)[1].batches


@pytest.mark.parametrize("tokens", [1, 40, 200])
@pytest.mark.parametrize("which", ["short_words", "short_pieces"])
def test_batches_are_decoded_together_up_to_the_limit(which, request, monkeypatch, tokens):
    short_windows = request.getfixturevalue(which)
    texts = ["马云在杭州", "张三李四", "阿里巴巴总部发表演讲。" * 9, "", "１２", "马云"] * 4
    expected = short_windows.extract(texts)
    sizes = []
    decode = pipeline.decode
    monkeypatch.setattr(pipeline, "decode", lambda scores, *rest: sizes.append(scores.shape) or decode(scores, *rest))
    monkeypatch.setattr(pipeline, "DECODED_TOKENS", tokens)
    for one, other in zip(short_windows.extract(texts), expected, strict=True):
        assert_same(one, other)
    limit = max(tokens, 3 * 14)  # a batch is never split
    assert all(rows * length <= limit for rows, length, _ in sizes)
    assert len(sizes) > 1


def test_stats_add_up():
    left, right = RunStats(windows=1, tokens=10, padded_tokens=20, batches=1, infer=0.5), RunStats(tokens=5, infer=0.25)
    assert left + right == RunStats(windows=1, tokens=15, padded_tokens=20, batches=1, infer=0.75)
    assert (left + right).padding == 0.25
    assert RunStats().padding == 0


def test_many_long_texts_are_processed_in_blocks(folder):
    recogniser = Recogniser(open_package(folder), OnnxEngine(open_package(folder)), batch_tokens=64)
    texts = ["马云在杭州阿里巴巴总部发表演讲。" * 40] * 9
    documents, stats = recogniser.run(texts)
    assert stats.tokens > 9 * 400
    for document in documents:
        assert_same(document, documents[0])


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        ("马云", "extract takes a list of texts"),
        (["好", b"\xe9"], r"texts\[1\]: a text must be a string, not bytes"),
        (["\ud800"], r"texts\[0\]: the text has a lone surrogate at character 0"),
        (["好" * 100_001], r"texts\[0\]: the text has 100,001 characters"),
    ],
)
def test_invalid_texts_are_rejected(ner, texts, why):
    with pytest.raises(InvalidText, match=why):
        ner.extract(texts)


def test_the_longest_allowed_text_is_processed(ner):
    text = ("马云在杭州阿里巴巴总部发表演讲。" * 6250)[:100_000]
    (entities,) = ner.extract([text])
    assert entities[-1].end > 99_900
    assert all(entity.text == text[entity.start : entity.end] for entity in entities)


def test_scores_that_are_not_finite_raise_model_failed(folder):
    class Broken:
        def run(self, batch: Batch):
            return np.full((len(batch.lengths), batch.columns, 7), np.nan, dtype=np.float32)

    with pytest.raises(ModelFailed, match="scores that are not finite numbers"):
        Recogniser(open_package(folder), Broken()).extract(["好"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 and later; the pool does just this
def test_a_recogniser_still_works_after_a_fork(ner, capfd):
    texts = ["马云在杭州阿里巴巴总部发表演讲。" * 60, "张三"]
    expected = ner.extract(texts)
    child = os.fork()
    if child == 0:
        right = False
        try:
            right = ner.extract(texts) == expected
        finally:
            os._exit(0 if right else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert capfd.readouterr().err == ""


def test_load_reads_the_settings(tiny_package, tmp_path, monkeypatch):
    monkeypatch.setenv("HANNER_MODEL", str(tiny_package))
    assert load().model.startswith("tiny@")
    monkeypatch.setenv("HANNER_MODEL", str(tmp_path / "none"))
    with pytest.raises(ModelPackageError):
        load()
    assert load(tiny_package).package.path == tiny_package


def test_importing_the_package_imports_no_large_library():
    heavy = "{'numpy', 'onnxruntime', 'tokenizers', 'celery'}"
    code = f"import sys, hanner_inference; print(*sorted({heavy} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_entities_are_whole_words_if_only_first_pieces_have_labels(first_pieces, words):
    text = "iphone15promax在abcdefghijklmnopqrstuvwxyz0123456789上"
    bounds = [(0, 14), (14, 15), (15, 51), (51, 52)]
    found = first_pieces.extract([text])[0]
    assert {e.start for e in found} <= {start for start, _ in bounds}
    assert {e.end for e in found} <= {end for _, end in bounds}
    assert found != words.extract([text])[0]


@given(chinese)
def test_folded_traditional_text_has_the_entities_of_the_simplified_text(folding, text):
    traditional = text.translate(str.maketrans("马云发总讲张", "馬雲發總講張"))
    one, other = folding.extract([text, traditional])
    assert [(e.type, e.start, e.end, e.score) for e in one] == [(e.type, e.start, e.end, e.score) for e in other]
    assert all(entity.text == traditional[entity.start : entity.end] for entity in other)


def test_a_package_can_ask_for_consistent_types(tmp_path, pieces):
    folder = write_tiny_piece_package(tmp_path)
    manifest = open_package(folder).manifest
    write_manifest(folder, manifest.model_copy(update={"consistent_types": True}))
    rng = random.Random(13)  # a text in which a name has two types
    text = "".join(rng.choice("马云杭州张三在。") for _ in range(120))
    (expected,) = pieces.extract([text])
    (found,) = load(folder, settings=Settings()).extract([text])
    assert found == agree_on_types(expected)
    assert found != expected
