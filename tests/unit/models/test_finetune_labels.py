"""Heads for other types: what is the same is kept, what is new starts from its like."""

import numpy as np
import pytest

from hanner_inference.decoding.labels import Labels
from hanner_models.data.datasets import DataError, Sentence, Span
from hanner_models.finetune.base_model import open_base
from hanner_models.finetune.labels import labels_for, relabel, types_of
from hanner_models.finetune.options import OptionError, Options
from hanner_models.source import ConversionError, read_source
from support.packages import BIO
from support.taggers import write_tagger


def test_the_same_types_keep_the_labels_in_their_order():
    assert labels_for(["ORG", "LOC", "PER"], BIO) == BIO


@pytest.mark.parametrize(
    ("types", "base", "expected"),
    [
        (["PER"], BIO, "O B-PER I-PER"),
        (["疾病", "ORG"], BIO, "O B-ORG I-ORG B-疾病 I-疾病"),
        (["A"], ("O", "B-X", "M-X", "E-X", "S-X"), "O B-A M-A E-A S-A"),
        (["X", "Y"], ("O", "B-X", "I-X", "E-X", "S-X"), "O B-X I-X E-X S-X B-Y I-Y E-Y S-Y"),
        (["X"], ("O", "B-X"), "O B-X I-X"),
    ],
)
def test_new_labels_are_of_the_base_scheme(types, base, expected):
    labels = labels_for(types, base)
    assert labels == tuple(expected.split())
    Labels(labels)


def test_data_without_names_teaches_nothing():
    with pytest.raises(DataError, match="no entities"):
        types_of([Sentence("好", ())])
    assert types_of([Sentence("马云", (Span("PER", 0, 2), Span("B", 0, 1)))]) == ["B", "PER"]


def test_rows_of_labels_that_stay_are_kept_and_others_are_the_mean_of_their_like(tmp_path):
    source = read_source(write_tagger(tmp_path / "tagger"))
    labels = labels_for(["ORG", "疾病"], source.labels)
    made = relabel(source, labels)
    old, new = source.weights, made.weights
    assert made.labels == ("O", "B-ORG", "I-ORG", "B-疾病", "I-疾病")
    for name in ("linear.weight", "linear.bias", "crf.start_transitions"):
        np.testing.assert_array_equal(new[name][:3], old[name][[0, 5, 6]])
        np.testing.assert_allclose(new[name][3], old[name][[1, 3, 5]].mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(new[name][4], old[name][[2, 4, 6]].mean(axis=0), rtol=1e-6)
    table, made_table = old["crf.transitions"], new["crf.transitions"]
    np.testing.assert_array_equal(made_table[:3, :3], table[np.ix_([0, 5, 6], [0, 5, 6])])
    # within the new type: as within the old ones; from another type: as between two of those
    assert made_table[3, 4] == pytest.approx(np.mean([table[1, 2], table[3, 4], table[5, 6]]), rel=1e-5)
    assert made_table[1, 4] == pytest.approx(np.mean([table[5, 2], table[5, 4]]), rel=1e-5)
    assert new["embeddings.LayerNorm.weight"] is old["embeddings.LayerNorm.weight"]
    assert {value.dtype for value in new.values()} == {np.dtype(np.float32)}


def test_labels_that_are_the_same_change_nothing(tmp_path):
    source = read_source(write_tagger(tmp_path / "tagger"))
    assert relabel(source, source.labels) is source


def test_the_bundled_package_can_be_started_from():
    base = open_base("default")
    assert base.package is not None
    assert base.name == base.package.id
    assert base.source.labels == base.package.manifest.labels
    assert base.source.weights["crf.transitions"].shape == (7, 7)
    assert base.source.training["licences"]


def test_a_training_runs_folder_is_its_tagger(tmp_path):
    write_tagger(tmp_path / "run" / "tagger")
    assert open_base(tmp_path / "run").source.labels == BIO


def test_what_cannot_be_started_from_is_refused(tmp_path, tiny_package):
    with pytest.raises(ConversionError, match="there is no folder"):
        open_base(tmp_path / "nothing")
    with pytest.raises(ConversionError, match="give the folder that it was made from"):
        open_base(tiny_package)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"steps": -1},
        {"learning_rate": 0},
        {"batch_tokens": 0},
        {"blend": 0},
        {"blend": 1.5},
        {"epochs": 1, "steps": 1},
    ],
)
def test_options_that_cannot_be_are_refused_with_their_name(wrong):
    with pytest.raises(OptionError, match="--" + next(iter(wrong)).replace("_", "-")):
        Options(**wrong)


def test_defaults_follow_method_and_width():
    assert Options().peak(256) > Options().peak(768)
    assert Options(lora=True).peak(768) > Options().peak(768)
    assert Options(learning_rate=1e-3).peak(768) == 1e-3
    assert Options(steps=7).total(100) == 7
    assert Options(epochs=0.5).total(100) == 50
    assert Options().total(3) > 3
