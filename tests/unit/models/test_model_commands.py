"""`hanner model list`, and how the commands of `hanner model` select a package."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from hanner.results import Entity
from hanner_inference import package as package_module
from hanner_inference.package import Manifest, open_package, write_manifest
from hanner_models.cli import app
from hanner_models.data.datasets import Sentence, Span
from hanner_models.evaluation.evaluate import evaluate

SENTENCE = Sentence("马云在杭州", (Span("PER", 0, 2), Span("LOC", 3, 5)))
FOUND = [[Entity(text="马云", type="PER", start=0, end=2, score=0.9)]]
FIGURES = {"modern.test.jsonl": evaluate(lambda _: FOUND, [SENTENCE]).to_dict()}
"""F1 is 0.667."""


@pytest.fixture
def two_bundled_models(tiny_package, tiny_piece_package, tmp_path, monkeypatch):
    """Return the packages of the only bundled models: `tiny`, which is the default, and `tiny-pieces` with figures."""
    for package in (tiny_package, tiny_piece_package):
        name = open_package(package).manifest.name
        folder = shutil.copytree(package, tmp_path / "installed" / "models" / name)
    manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    write_manifest(folder, manifest.model_copy(update={"card": {"figures": FIGURES}}))
    monkeypatch.setattr(package_module, "files", lambda package: tmp_path / "installed")
    monkeypatch.setattr(package_module, "DEFAULT_MODEL", "tiny")
    return {name: open_package(name) for name in ("tiny", "tiny-pieces")}


def run(*arguments):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_list_has_size_kind_types_and_f1_of_all_bundled_models(two_bundled_models):
    tiny, pieces = json.loads(run("list", "--json"))["models"]
    folder = two_bundled_models["tiny"].path
    assert tiny == {
        "name": "tiny",
        "model": two_bundled_models["tiny"].id,
        "default": True,
        "path": str(folder),
        "bytes": sum(file.stat().st_size for file in folder.iterdir() if file.name != "manifest.json"),
        "types": ["PER", "LOC", "ORG"],
        "labels": "tokens",
        "f1": {},
    }
    assert (pieces["name"], pieces["default"]) == ("tiny-pieces", False)
    assert pieces["labels"] == "characters of word pieces"
    assert pieces["f1"] == {"modern.test.jsonl": pytest.approx(2 / 3, abs=1e-3)}


def test_list_is_a_table_that_marks_the_default(two_bundled_models):
    lines = run("list").splitlines()
    (tiny,) = [line for line in lines if "tiny (default)" in line]
    (pieces,) = [line for line in lines if "tiny-pieces" in line]
    assert "PER, LOC, ORG" in tiny
    assert "0.667" in pieces
    assert "0.667" not in tiny


@pytest.mark.parametrize("command", [["inspect"], ["card"], ["evaluate", "a.jsonl"]])
def test_commands_take_names_and_folders_and_use_hanner_model(
    command, two_bundled_models, tiny_piece_package, tmp_path, monkeypatch
):
    (tmp_path / "a.jsonl").write_text(
        '{"text": "马云", "entities": [{"type": "PER", "start": 0, "end": 2}]}\n', "utf-8"
    )
    monkeypatch.chdir(tmp_path)

    def printed(*model):
        option = ["--model"] if model and command[0] == "evaluate" else []
        return run(*command, *option, *model)

    assert "tiny" in printed()
    assert "tiny-pieces" not in printed()
    assert "tiny-pieces" in printed("tiny-pieces")
    assert "tiny-pieces" in printed(str(tiny_piece_package))
    monkeypatch.setenv("HANNER_MODEL", "tiny-pieces")
    assert "tiny-pieces" in printed()
    assert "tiny-pieces" not in printed("tiny")


def test_an_unknown_model_is_reported_with_the_bundled_ones(two_bundled_models):
    result = CliRunner().invoke(app, ["inspect", "hanner-huge"])
    assert result.exit_code == 2
    assert "no model package at hanner-huge; set HANNER_MODEL to a bundled model (tiny, tiny-pieces)" in result.stderr
