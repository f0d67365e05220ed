"""Base models, labels and options of a fine-tune."""

import numpy as np
import pytest

from hanner_inference.decoding.labels import Labels
from hanner_models.conversion.base_model import open_base_model
from hanner_models.data.datasets import DataError, Sentence, Span
from hanner_models.finetune.labels import entity_types, relabel, target_labels
from hanner_models.finetune.options import FinetuneOptions, OptionError
from hanner_models.source import ConversionError, read_source
from support.packages import BIO
from support.taggers import write_tagger


def test_same_types_keep_order_of_labels():
    assert target_labels(["ORG", "LOC", "PER"], BIO) == BIO


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
def test_new_labels_use_the_base_scheme(types, base, expected):
    labels = target_labels(types, base)
    assert labels == tuple(expected.split())
    Labels(labels)


def test_data_without_entities_is_rejected():
    with pytest.raises(DataError, match="no entities"):
        entity_types([Sentence("好", ())])
    assert entity_types([Sentence("马云", (Span("PER", 0, 2), Span("B", 0, 1)))]) == ["B", "PER"]


def test_known_labels_keep_weights_and_new_ones_start_from_means(tmp_path):
    source = read_source(write_tagger(tmp_path / "tagger"))
    labels = target_labels(["ORG", "疾病"], source.labels)
    result = relabel(source, labels)
    old, new = source.weights, result.weights
    assert result.labels == ("O", "B-ORG", "I-ORG", "B-疾病", "I-疾病")
    for name in ("linear.weight", "linear.bias", "crf.start_transitions"):
        np.testing.assert_array_equal(new[name][:3], old[name][[0, 5, 6]])
        np.testing.assert_allclose(new[name][3], old[name][[1, 3, 5]].mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(new[name][4], old[name][[2, 4, 6]].mean(axis=0), rtol=1e-6)
    old_table, new_table = old["crf.transitions"], new["crf.transitions"]
    np.testing.assert_array_equal(new_table[:3, :3], old_table[np.ix_([0, 5, 6], [0, 5, 6])])
    # within the new type: the mean within old types; from another type: the mean between old types
    assert new_table[3, 4] == pytest.approx(np.mean([old_table[1, 2], old_table[3, 4], old_table[5, 6]]), rel=1e-5)
    assert new_table[1, 4] == pytest.approx(np.mean([old_table[5, 2], old_table[5, 4]]), rel=1e-5)
    assert new["embeddings.LayerNorm.weight"] is old["embeddings.LayerNorm.weight"]
    assert {value.dtype for value in new.values()} == {np.dtype(np.float32)}


def test_relabel_with_same_labels_changes_nothing(tmp_path):
    source = read_source(write_tagger(tmp_path / "tagger"))
    assert relabel(source, source.labels) is source


@pytest.mark.parametrize("name", ["default", "hanner-small"])
def test_bundled_package_is_a_base_model(name):
    base = open_base_model(name)
    assert base.package is not None
    assert base.name == base.package.id
    assert base.source.labels == base.package.manifest.labels
    assert base.source.weights["crf.transitions"].shape == 2 * (len(base.source.labels),)
    assert base.source.training["licences"]


def test_folder_of_training_run_is_a_base_model(tmp_path):
    write_tagger(tmp_path / "run" / "tagger")
    assert open_base_model(tmp_path / "run").source.labels == BIO


def test_unusable_base_model_is_rejected(tmp_path, tiny_package):
    with pytest.raises(ConversionError, match="does not exist"):
        open_base_model(tmp_path / "nothing")
    with pytest.raises(ConversionError, match="give the folder that it was converted from"):
        open_base_model(tiny_package)


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
def test_error_names_invalid_option(wrong):
    with pytest.raises(OptionError, match="--" + next(iter(wrong)).replace("_", "-")):
        FinetuneOptions(**wrong)


def test_defaults_depend_on_method_and_width():
    assert FinetuneOptions().peak_learning_rate(256) > FinetuneOptions().peak_learning_rate(768)
    assert FinetuneOptions(lora=True).peak_learning_rate(768) > FinetuneOptions().peak_learning_rate(768)
    assert FinetuneOptions(learning_rate=1e-3).peak_learning_rate(768) == 1e-3
    assert FinetuneOptions(steps=7).total_steps(100) == 7
    assert FinetuneOptions(epochs=0.5).total_steps(100) == 50
    assert FinetuneOptions().total_steps(3) > 3
