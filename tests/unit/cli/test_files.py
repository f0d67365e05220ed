"""Files that `hanner extract` writes and continues."""

import subprocess
import sys
from itertools import accumulate

import pytest

from hanner import HannerError
from hanner.cli.formats import FormatName, line_format
from hanner.cli.io import output_files as files
from hanner.cli.io.output_files import BratFolder, DocBinFile, LineFile
from hanner.cli.usage_error import Misused
from support.sample_records import records

LINES = [FormatName.JSONL, FormatName.HTML, FormatName.CONLL, FormatName.SPACY, FormatName.LABELSTUDIO]


HOLD = """
import fcntl, sys
with open(sys.argv[1], "w") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


def finish(output, rest):
    try:
        for record in rest[output.done :]:
            output.write(record)
        output.finish()
    finally:
        output.close()


@pytest.mark.parametrize("name", LINES)
def test_a_file_cut_anywhere_becomes_the_same_file(name, tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "fsync", lambda _: None)  # thousands of them take their time
    path = tmp_path / "out"
    finish(LineFile(path, line_format(name), resume=False), records())
    whole = path.read_bytes()
    form = line_format(name)
    ends = list(accumulate((len(form.render(record).encode()) for record in records()), initial=len(form.header)))[1:]
    for length in sorted({*range(0, len(whole), 7), *range(len(whole) - 30, len(whole) + 1), *range(5)}):
        path.write_bytes(whole[:length])
        again = LineFile(path, line_format(name), resume=True)
        assert again.done == sum(end <= length for end in ends), length
        assert not again.done or again.check(records()[again.done - 1].text)
        finish(again, records())
        assert path.read_bytes() == whole, length


@pytest.mark.parametrize("name", LINES)
def test_a_finished_file_takes_more(name, tmp_path):
    path, half = tmp_path / "out", tmp_path / "half"
    finish(LineFile(path, line_format(name), resume=False), records())
    finish(LineFile(half, line_format(name), resume=False), records()[:3])
    finish(LineFile(half, line_format(name), resume=True), records())
    assert half.read_bytes() == path.read_bytes()


def test_a_new_run_leaves_nothing_of_the_old_one(tmp_path):
    path = tmp_path / "out"
    path.write_text("something longer than what follows\n" * 100)
    finish(LineFile(path, line_format(FormatName.JSONL), resume=False), records()[:1])
    assert path.read_text().count("\n") == 1


def test_another_text_or_another_format_is_noticed(tmp_path):
    path = tmp_path / "out"
    finish(LineFile(path, line_format(FormatName.JSONL), resume=False), records()[:1])
    again = LineFile(path, line_format(FormatName.JSONL), resume=True)
    assert not again.check("别的")
    again.close()
    before = path.read_bytes()
    with pytest.raises(Misused, match="is no LabelStudio file"):
        LineFile(path, line_format(FormatName.LABELSTUDIO), resume=True)
    assert path.read_bytes() == before


def test_two_processes_do_not_write_one_file(tmp_path):
    path = tmp_path / "out"
    held = subprocess.Popen(
        [sys.executable, "-c", HOLD, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with held:
        held.stdout.readline()
        with pytest.raises(Misused, match="being written by another process"):
            LineFile(path, line_format(FormatName.JSONL), resume=False)
        held.stdin.close()


def test_what_has_been_written_is_on_the_disk_soon(tmp_path):
    path, now = tmp_path / "out", [0.0]
    output = LineFile(path, line_format(FormatName.JSONL), resume=False, clock=lambda: now[0])
    output.write(records()[0])
    assert path.read_bytes() == b""
    now[0] = 1.0
    output.write(records()[1])
    assert path.read_bytes().count(b"\n") == 2
    output.close()


def test_a_full_disk_is_a_sentence(tmp_path):
    from pathlib import Path  # noqa: PLC0415

    output = LineFile(Path("/dev/full"), line_format(FormatName.JSONL), resume=False)
    output.write(records()[0])
    with pytest.raises(HannerError, match=r"/dev/full cannot be written: No space left on device; .*--resume"):
        output.finish()
    output.close()
    with pytest.raises(HannerError, match="cannot be written"):
        LineFile(tmp_path / "missing" / "out", line_format(FormatName.JSONL), resume=False)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_brat_folders_are_continued_by_documents(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    finish(BratFolder(whole, resume=False, texts=2), records())
    assert sorted(contents(whole)) == [
        *(f"00000{n}.{k}" for n in range(1, 5) for k in ("ann", "txt")),
        "annotation.conf",
    ]
    first = BratFolder(cut, resume=False, texts=2)
    for record in records()[:5]:
        first.write(record)
    (cut / "000003.ann").write_text("half a li")  # killed between its two files
    again = BratFolder(cut, resume=True, texts=2)
    assert again.done == 2
    finish(again, records())
    assert contents(cut) == contents(whole)


def test_a_docbin_needs_spacy_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(Misused, match="pip install spacy"):
        DocBinFile(tmp_path / "out.spacy")
