"""A package is opened only if all of it matches its manifest."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from hanner_inference import load
from hanner_inference import package as package_module
from hanner_inference.engine.onnx import OnnxEngine
from hanner_inference.package import (
    DEFAULT_MODEL,
    Manifest,
    ModelPackageError,
    bundled_models,
    open_package,
    write_manifest,
)
from support.packages import write_tiny_package


@pytest.fixture
def package(tiny_package, tmp_path):
    return shutil.copytree(tiny_package, tmp_path / "package")


def edit(folder, **changes):
    """Change fields of the manifest, without updating the digests in it."""
    manifest = json.loads((folder / "manifest.json").read_text()) | changes
    (folder / "manifest.json").write_text(json.dumps(manifest))


def rewrite_manifest(folder):
    manifest = Manifest.model_validate_json((folder / "manifest.json").read_text())
    write_manifest(folder, manifest)


def test_the_id_of_a_package_contains_name_and_digest(package, tmp_path):
    opened = open_package(package)
    assert opened.id == f"tiny@{opened.digest[:8]}"
    assert len(opened.digest) == 64
    assert open_package(write_tiny_package(tmp_path / "same")).digest == opened.digest
    assert open_package(write_tiny_package(tmp_path / "other", seed=8)).digest != opened.digest


def test_writing_the_manifest_leaves_no_other_files(package):
    rewrite_manifest(package)
    assert sorted(file.name for file in package.iterdir()) == [
        "crf.safetensors",
        "manifest.json",
        "model.onnx",
        "tokenizer.json",
    ]


def test_additional_files_must_be_listed_in_the_manifest(package):
    (package / "LICENSE").write_text("Apache-2.0")
    with pytest.raises(ModelPackageError, match=r"LICENSE does not belong to the model package; remove it$"):
        open_package(package)
    rewrite_manifest(package)
    assert "LICENSE" in open_package(package).manifest.files


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "crf.safetensors", "tokenizer.json"])
def test_a_missing_file_is_reported_by_name(package, name):
    (package / name).unlink()
    with pytest.raises(ModelPackageError, match=rf"{name} is missing; fetch or export the model package again$"):
        open_package(package)


def test_a_manifest_that_is_a_fifo_is_refused(package):
    (package / "manifest.json").unlink()
    os.mkfifo(package / "manifest.json")
    with pytest.raises(ModelPackageError, match=r"manifest\.json is not a regular file"):
        open_package(package)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000], ids=["arrays", "objects"])
def test_a_manifest_that_is_nested_deeply_is_refused(package, text):
    (package / "manifest.json").write_text(text)
    with pytest.raises(ModelPackageError, match=r"manifest\.json is not valid"):
        open_package(package)


@pytest.mark.parametrize("name", ["model.onnx", "crf.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("read", [open_package, load])
def test_one_flipped_bit_is_detected(package, name, read):
    data = bytearray((package / name).read_bytes())
    data[len(data) // 2] ^= 1
    (package / name).write_bytes(data)
    with pytest.raises(ModelPackageError, match=f"{name} was changed: its sha256"):
        read(package)


@pytest.mark.parametrize("name", ["model.onnx", "crf.safetensors", "tokenizer.json"])
def test_a_truncated_file_is_detected(package, name):
    data = (package / name).read_bytes()
    (package / name).write_bytes(data[:-5])
    with pytest.raises(ModelPackageError, match=f"{name} has .* bytes; expected {len(data):,}"):
        open_package(package)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"format": 2}, "manifest.json has format 2; this version of hanner reads format 1"),
        ({"name": "../evil"}, "manifest.json is not valid: name: "),
        ({"surprise": 1}, "manifest.json is not valid: surprise: "),
        ({"labels": "O"}, "manifest.json is not valid: labels: "),
        ({"tokenizer": {"lowercase": True}}, "manifest.json is not valid: tokenizer.half_width: "),
        ({"labels": ["O"] * 7}, "manifest.json has labels that are not a tagging scheme: label O is listed twice"),
        ({"labels": ["O", "B-PER", "I-PER"]}, "crf.safetensors is not a CRF for this model: .* 3 labels need"),
        ({"files": {}}, "manifest.json does not list model.onnx"),
        ({"files": {"../model.onnx": {"sha256": "0" * 64, "bytes": 1}}}, "manifest.json is not valid: files"),
    ],
)
def test_an_invalid_manifest_is_rejected_with_the_reason(package, changes, why):
    edit(package, **changes)
    with pytest.raises(ModelPackageError, match=why):
        open_package(package)


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff"])
def test_a_manifest_that_is_not_a_json_object_is_rejected(package, text):
    (package / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(ModelPackageError, match=r"manifest.json is not valid: .*; fetch or export"):
        open_package(package)


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        ({}, "it contains nothing; expected start_transitions"),
        ({"transitions": np.zeros((7, 6), np.float32)}, r"transitions has shape \[7, 6\]; 7 labels need \[7, 7\]"),
        ({"end_transitions": np.zeros(7)}, "end_transitions must contain only finite numbers of type float32"),
        ({"end_transitions": np.full(7, np.nan, np.float32)}, "end_transitions must contain only finite numbers"),
    ],
)
def test_a_crf_that_does_not_match_is_rejected(package, tensors, why):
    whole = safetensors.numpy.load((package / "crf.safetensors").read_bytes())
    (package / "crf.safetensors").write_bytes(safetensors.numpy.save({**whole, **tensors} if tensors else {}))
    with pytest.raises(ModelPackageError, match=f"crf.safetensors is not a CRF for this model: {why}"):
        rewrite_manifest(package)


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("crf.safetensors", b"\x80\x04pickle", "crf.safetensors is not a CRF for this model: not a safetensors file"),
        ("tokenizer.json", b"{}", "tokenizer.json cannot be used: not a tokenizer"),
        ("tokenizer.json", b"\xff\xfe", "tokenizer.json cannot be used: "),
    ],
)
def test_a_file_of_another_kind_is_rejected_even_with_a_matching_digest(package, name, data, why):
    (package / name).write_bytes(data)
    with pytest.raises(ModelPackageError, match=why):
        rewrite_manifest(package)


def test_a_file_changed_after_opening_is_rejected(package):
    opened = open_package(package)
    (package / "model.onnx").write_bytes(b"changed")
    with pytest.raises(ModelPackageError, match=r"model.onnx has 7 bytes"):
        OnnxEngine(opened)


def test_an_invalid_graph_is_rejected(package):
    (package / "model.onnx").write_bytes(b"no graph")
    rewrite_manifest(package)
    with pytest.raises(ModelPackageError, match=r"model.onnx cannot be opened by ONNX Runtime"):
        OnnxEngine(open_package(package))


def test_a_graph_for_other_labels_is_rejected(package, tmp_path):
    other = write_tiny_package(tmp_path / "other", labels=("O", "B-PER", "I-PER"))
    shutil.copy(other / "model.onnx", package / "model.onnx")
    rewrite_manifest(package)
    with pytest.raises(ModelPackageError, match=r"model.onnx scores 3 labels, but the manifest has 7"):
        OnnxEngine(open_package(package))


def test_a_missing_folder_is_reported(tmp_path):
    with pytest.raises(ModelPackageError, match=r"there is no model package at .*none; set HANNER_MODEL"):
        open_package(tmp_path / "none")


@pytest.fixture
def two_bundled_models(tiny_package, tmp_path, monkeypatch):
    """Return the folder that contains the only bundled models: `tiny`, which is the default, and `other`."""
    for name in ("tiny", "other"):
        shutil.copytree(tiny_package, tmp_path / "installed" / "models" / name)
    monkeypatch.setattr(package_module, "files", lambda package: tmp_path / "installed")
    monkeypatch.setattr(package_module, "DEFAULT_MODEL", "tiny")
    return tmp_path / "installed" / "models"


def test_a_bundled_model_is_selected_by_its_name(two_bundled_models):
    assert bundled_models() == {name: two_bundled_models / name for name in ("other", "tiny")}
    assert open_package("other").path == two_bundled_models / "other"


@pytest.mark.parametrize("nothing", [None, ""])
def test_the_default_model_is_used_if_none_is_named(two_bundled_models, nothing):
    assert open_package(nothing).path == two_bundled_models / "tiny"


def test_a_folder_with_the_name_of_a_bundled_model_is_selected_by_a_path(two_bundled_models, tmp_path, monkeypatch):
    folder = write_tiny_package(tmp_path / "here" / "other", seed=8)
    monkeypatch.chdir(folder.parent)
    assert open_package("other").path == two_bundled_models / "other"
    for path in ("./other", Path("other"), str(folder)):
        assert open_package(path).path.resolve() == folder


def test_an_unknown_name_is_reported_with_the_bundled_ones(two_bundled_models):
    wanted = "there is no model package at smal; set HANNER_MODEL to a bundled model (other, tiny) or to the folder of"
    with pytest.raises(ModelPackageError, match=re.escape(wanted)):
        open_package("smal")


def test_an_installation_without_the_default_model_is_reported(two_bundled_models):
    shutil.rmtree(two_bundled_models / "tiny")
    with pytest.raises(
        ModelPackageError, match=r"has no model tiny; install hanner again, or set .* a bundled model \(other\)"
    ):
        open_package()
    shutil.rmtree(two_bundled_models / "other")
    with pytest.raises(ModelPackageError, match=r"no model tiny; install hanner again, or set HANNER_MODEL to the fol"):
        open_package()


@pytest.mark.parametrize("name", bundled_models())
def test_each_bundled_package_has_the_name_of_its_folder(name):
    assert open_package(name).manifest.name == name


def test_the_default_model_is_installed():
    assert open_package().manifest.name == DEFAULT_MODEL


@pytest.mark.parametrize(
    ("method", "name"),
    [("is_dir", ""), ("read_bytes", "manifest.json"), ("iterdir", ""), ("open", "model.onnx")],
    ids=["folder", "manifest", "list", "graph"],
)
def test_a_file_without_read_permission_is_reported_with_the_user_that_needs_it(package, monkeypatch, method, name):
    original = getattr(type(package), method)

    def refuse(path, *args, **kwargs):
        if path == package / name:
            raise PermissionError(13, "Permission denied", str(path))
        return original(path, *args, **kwargs)

    monkeypatch.setattr(type(package), method, refuse)
    with pytest.raises(
        ModelPackageError, match=r"cannot be read \(Permission denied\); let the user \d+ read it"
    ) as error:
        open_package(package)
    assert "export" not in str(error.value)
