"""Cards are rendered from figures and manifest; docs/models has the card of each bundled package."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hanner.results import Entity
from hanner_inference.package import bundled_models, open_package
from hanner_models.cli import app
from hanner_models.data.datasets import DataError, Sentence, Span
from hanner_models.evaluation.card import read_figures, render, sections, update_document, write_card
from hanner_models.evaluation.evaluate import evaluate, known_names

CARDS = Path(__file__).parents[3] / "docs" / "models"
SENTENCES = [Sentence("马云在杭州", (Span("PER", 0, 2), Span("LOC", 3, 5))), Sentence("没有", ())]
FOUND = [[Entity(text="马云", type="PER", start=0, end=2, score=0.9)], []]
TEXT = """# Model

By hand.

<!-- card: accuracy -->
old
<!-- /card -->

<!-- card: data -->
<!-- /card -->

## Known failures

- Names are missed.

## Other

x
"""


@pytest.fixture
def figures():
    return {"a.jsonl": evaluate(lambda _: FOUND, SENTENCES, known=known_names(SENTENCES[:1])).to_dict()}


@pytest.fixture
def package(tiny_package, tmp_path):
    return open_package(shutil.copytree(tiny_package, tmp_path / "package"))


def test_update_replaces_only_blocks(package, figures, tmp_path):
    path = tmp_path / "card.md"
    path.write_text(TEXT, "utf-8")
    update_document(path, package.manifest, figures)
    text = path.read_text("utf-8")
    assert "old" not in text
    assert "| a.jsonl | 2 | 1.000 | 0.500 | 0.667 |" in text
    assert "| not stated | Apache-2.0 |" in text
    assert text.startswith("# Model\n\nBy hand.")
    assert text.endswith("## Other\n\nx\n")
    update_document(path, package.manifest, figures)
    assert path.read_text("utf-8") == text


def test_manifest_gets_figures_and_handwritten_sections(package, figures, tmp_path):
    path = tmp_path / "card.md"
    path.write_text(TEXT, "utf-8")
    updated = write_card(package, figures, path)
    assert updated.manifest.card == {"figures": figures, "known_failures": "- Names are missed."}
    assert open_package(package.path).digest == updated.digest != package.digest
    whole = render(updated.manifest, updated.manifest.card["figures"])
    assert "## Known failures\n\n- Names are missed." in whole
    assert "| PER | 1.000 / 1.000 / 1.000 |" in whole


@pytest.mark.parametrize("text", ["no blocks", "<!-- card: nonsense -->\n<!-- /card -->"])
def test_document_without_known_blocks_is_rejected(package, tmp_path, text):
    path = tmp_path / "card.md"
    path.write_text(text, "utf-8")
    with pytest.raises(DataError, match=r"card\.md"):
        update_document(path, package.manifest, {})
    assert path.read_text("utf-8") == text


@pytest.mark.parametrize("text", ["", "[]", '{"models": []}', '{"models": [{"files": {"a": {}}}]}'])
def test_figures_in_another_format_are_rejected(tmp_path, text):
    path = tmp_path / "figures.json"
    path.write_text(text, "utf-8")
    with pytest.raises(DataError, match="evaluate --json"):
        read_figures(path)


def test_card_accepts_output_of_evaluate(package, tmp_path):
    data = tmp_path / "a.jsonl"
    data.write_text(
        json.dumps({"text": "马云在杭州", "entities": [{"type": "PER", "start": 0, "end": 2}]}) + "\n", "utf-8"
    )
    model = ["--model", str(package.path)]
    printed = CliRunner().invoke(app, ["evaluate", str(data), "--train", str(data), "--json", *model])
    assert printed.exit_code == 0, printed.output
    (entry,) = json.loads(printed.stdout)["models"]
    assert entry["model"] == package.id
    assert entry["files"]["a.jsonl"]["unseen"]["names"] == 0
    path = tmp_path / "figures.json"
    path.write_text(printed.stdout, "utf-8")
    result = CliRunner().invoke(app, ["card", str(package.path), "--figures", str(path), "--write-manifest"])
    assert result.exit_code == 0, result.output
    printed_card = CliRunner().invoke(app, ["card", str(package.path)])
    assert "| a.jsonl | 1 |" in printed_card.output


def test_evaluate_prints_summary_of_several_files_and_packages(package, tmp_path):
    lines = json.dumps({"text": "马云在杭州", "entities": [{"type": "PER", "start": 0, "end": 2}]}) + "\n"
    files = [tmp_path / name for name in ("a.jsonl", "b.jsonl")]
    for path in files:
        path.write_text(lines, "utf-8")
    result = CliRunner().invoke(app, ["evaluate", *map(str, files), *["--model", str(package.path)] * 2])
    assert result.exit_code == 0, result.output
    assert result.output.count("entities:") == 4
    for expected in ("a.jsonl", "b.jsonl", "missed", "F1"):
        assert expected in result.output
    assert "calibration error" not in result.output
    scored = CliRunner().invoke(app, ["evaluate", str(files[0]), "--scores", "--model", str(package.path)])
    assert scored.exit_code == 0, scored.output
    assert "calibration error" in scored.output


def test_evaluate_can_change_labels_to_the_guideline(package, tmp_path):
    """An address with one label is two mentions in our guideline."""
    path = tmp_path / "a.jsonl"
    record = {"text": "浙江省杭州市下雨", "entities": [{"type": "LOC", "start": 0, "end": 6}]}
    path.write_text(json.dumps(record) + "\n", "utf-8")
    names = {}
    for option in ([], ["--guideline"]):
        result = CliRunner().invoke(app, ["evaluate", str(path), "--json", "--model", str(package.path), *option])
        assert result.exit_code == 0, result.output
        names[bool(option)] = json.loads(result.stdout)["models"][0]["files"]["a.jsonl"]["all"]["names"]
    assert names == {False: 1, True: 2}


def test_evaluate_without_opencc_names_the_extra(package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "opencc", None)
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "马云", "entities": []}\n', "utf-8")
    result = CliRunner().invoke(app, ["evaluate", str(path), "--traditional", "--model", str(package.path)])
    assert result.exit_code == 2
    assert "pip install 'hanner[train]'" in result.output


def test_each_bundled_package_has_a_card_in_the_documentation():
    assert {path.stem for path in CARDS.glob("*.md")} == set(bundled_models())


@pytest.mark.parametrize("name", bundled_models())
def test_card_of_bundled_package_matches_its_manifest(name, tmp_path):
    manifest, text = open_package(name).manifest, (CARDS / f"{name}.md").read_text("utf-8")
    copy = tmp_path / "card.md"
    copy.write_text(text, "utf-8")
    update_document(copy, manifest, manifest.card["figures"])
    assert copy.read_text("utf-8") == text, f"run: hanner model card {name} --into docs/models/{name}.md"
    assert sections(text) == {k: v for k, v in manifest.card.items() if k != "figures"}
    assert set(manifest.card) == {"figures", "known_failures", "reproduce"}
