"""A dictionary in use: opened, reloaded, refreshed in forked processes, and unchanged by an invalid file."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading

import pytest

from hanner.errors import HannerError
from hanner.settings import Settings
from hanner_inference import load
from hanner_inference.dictionary.dictionary import Dictionary
from hanner_inference.dictionary.parser import DictionaryError, Folding
from hanner_worker.reload import DictionaryReloader
from support.packages import write_tiny_package

FOLDED = Folding(lowercase=True, half_width=True)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "terms.tsv"
    path.write_text("马云\tPER\n", "utf-8")
    return path


def found(dictionary, text):
    return [(e.text, e.type) for e in dictionary.apply(text, [])]


def test_a_reload_gives_new_terms_and_a_new_digest(source):
    dictionary = Dictionary(source, FOLDED)
    before = dictionary.digest
    assert found(dictionary, "马云在杭州") == [("马云", "PER")]
    source.write_text("杭州\tLOC\n", "utf-8")
    assert found(dictionary, "马云在杭州") == [("马云", "PER")]
    dictionary.reload()
    assert found(dictionary, "马云在杭州") == [("杭州", "LOC")]
    assert dictionary.digest != before
    assert str(dictionary) == f"dictionary {source}, 1 terms of 1 types"


def test_a_forked_process_switches_on_refresh_and_keeps_the_file_on_exit(source):
    dictionary = Dictionary(source, FOLDED)
    ours, theirs = os.pipe()
    go, gone = os.pipe()
    if (pid := os.fork()) == 0:
        seen = []
        for _ in range(2):
            os.read(go, 1)
            dictionary.refresh()
            seen.append(found(dictionary, "马云在杭州"))
        os.write(theirs, json.dumps(seen).encode())
        dictionary._compiled = None
        del dictionary
        os._exit(0)
    os.write(gone, b".")
    source.write_text("杭州\tLOC\n", "utf-8")
    dictionary.reload()
    os.write(gone, b".")
    os.waitpid(pid, 0)
    first, second = json.loads(os.read(ours, 1000))
    assert first in ([["马云", "PER"]], [["杭州", "LOC"]])
    assert second == [["杭州", "LOC"]]
    dictionary.reload()
    for end in (ours, theirs, go, gone):
        os.close(end)


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_text("马云 PER\n", "utf-8")])
def test_a_reload_that_fails_changes_nothing(source, spoil):
    dictionary = Dictionary(source, FOLDED)
    before = dictionary.digest
    spoil(source)
    with pytest.raises(DictionaryError, match=r"terms\.tsv"):
        dictionary.reload()
    dictionary.refresh()
    assert dictionary.digest == before
    assert found(dictionary, "马云") == [("马云", "PER")]


def test_the_mapping_stays_valid_when_the_file_is_removed(source):
    dictionary = Dictionary(source, FOLDED)
    dictionary._compiled.unlink()
    dictionary.refresh()
    assert found(dictionary, "马云") == [("马云", "PER")]


def test_the_compiled_file_is_removed_with_the_dictionary(source):
    dictionary = Dictionary(source, FOLDED)
    folder = dictionary._compiled.parent
    assert folder.is_dir()
    del dictionary
    assert not folder.exists()


@pytest.mark.parametrize("kind", ["missing", "a folder"])
def test_an_unreadable_file_is_reported_by_name(tmp_path, kind):
    path = tmp_path if kind == "a folder" else tmp_path / "none.tsv"
    with pytest.raises(DictionaryError, match=r"cannot be read .*; set HANNER_DICTIONARY"):
        Dictionary(path, FOLDED)


def test_an_unwritable_folder_is_reported_in_one_line(source, tmp_path, monkeypatch):
    code = "from hanner_inference.dictionary.compiler import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, str(source), str(tmp_path / "no" / "place")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.endswith("cannot be written (No such file or directory); free some space, or set TMPDIR\n")


def test_load_uses_its_argument_or_the_setting(source, tiny_package):
    text = "马云在杭州"
    assert ("马云", "PER", 1.0) in [
        (e.text, e.type, e.score) for e in load(tiny_package, dictionary=source).extract([text])[0]
    ]
    other = source.with_name("other.tsv")
    other.write_text("在杭\tODD\n", "utf-8")
    settings = Settings(dictionary=str(other))
    assert [e.text for e in load(tiny_package, settings=settings).extract([text])[0] if e.type == "ODD"] == ["在杭"]
    assert not [
        e for e in load(tiny_package, settings=settings, dictionary=source).extract([text])[0] if e.type == "ODD"
    ]
    with pytest.raises(HannerError, match="cannot be read"):
        load(tiny_package, dictionary="none.tsv")


def test_types_are_those_of_the_model_and_the_dictionary(source, tiny_package):
    of_model = load(tiny_package).types
    assert of_model == sorted(set(of_model) - {"O"})
    source.write_text("在杭\tODD\n马云\t-\n", "utf-8")
    assert load(tiny_package, dictionary=source).types == sorted({*of_model, "ODD"})


def test_the_dictionary_folds_like_the_model(tmp_path, source):
    source.write_text("IBM\tODD\n", "utf-8")
    folded = load(write_tiny_package(tmp_path / "folded"), dictionary=source)
    assert folded.dictionary._folding == Folding(lowercase=True, half_width=True)
    assert [e.text for e in folded.extract(["在ｉbm"])[0] if e.type == "ODD"] == ["ｉbm"]


def test_the_dictionary_folds_traditional_characters_like_the_model(tmp_path, source):
    source.write_text("马云\tODD\n臺積電\tODD\n", "utf-8")
    folded = load(write_tiny_package(tmp_path / "folded", fold_traditional=True), dictionary=source)
    assert folded.dictionary._folding == Folding(lowercase=True, half_width=True, traditional=True)
    found = [e.text for e in folded.extract(["馬雲在台积电，馬云在臺積電"])[0] if e.type == "ODD"]
    assert found == ["馬雲", "台积电", "馬云", "臺積電"]
    plain = load(write_tiny_package(tmp_path / "plain"), dictionary=source)
    assert [e.text for e in plain.extract(["馬雲和马云"])[0] if e.type == "ODD"] == ["马云"]


class Counted:
    """A dictionary that counts its reloads."""

    def __init__(self, error=None):
        self.reloads = 0
        self.error = error

    def reload(self):
        self.reloads += 1
        if self.error:
            raise self.error


def test_an_invalid_file_is_logged(caplog):
    reloader = DictionaryReloader()
    reloader._dictionary = Counted(DictionaryError("line 3 of the dictionary x has no TAB"))
    reloader._latest = 1
    with caplog.at_level(logging.INFO):
        reloader._reload(1)
    assert "the dictionary was not reloaded: line 3" in caplog.text


def test_of_several_signals_only_the_last_one_reloads():
    reloader = DictionaryReloader()
    reloader._dictionary = counted = Counted()
    reloader._latest = 3
    for number in (1, 2, 3):
        reloader._reload(number)
    assert counted.reloads == 1


@pytest.mark.parametrize(("terminal", "reloads"), [(True, 1), (False, 0)])
def test_sighup_reloads_unless_the_terminal_was_closed(monkeypatch, terminal, reloads):
    reloader = DictionaryReloader()
    counted = Counted()
    reloader._exits_with_terminal = True
    monkeypatch.setattr("hanner_worker.reload._has_terminal", lambda: terminal)
    ended = []
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)}
    try:
        signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
        reloader.install(counted)
        signal.raise_signal(signal.SIGHUP)
        for thread in threading.enumerate():
            if thread.name == "dictionary":
                thread.join(60)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert counted.reloads == reloads
    assert bool(ended) is not terminal


def test_a_dictionary_that_is_a_fifo_is_refused(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(DictionaryError, match=r"is not a regular file; set HANNER_DICTIONARY to one"):
        Dictionary(tmp_path / "fifo", FOLDED)
