"""Output files of `hanner extract`, and how they are resumed."""

import re
import subprocess
import sys
from itertools import accumulate

import pytest

from hanner import Document, HannerError
from hanner.cli.errors import UsageError
from hanner.cli.formats import FormatName, Record, line_format
from hanner.cli.io import outputs
from hanner.cli.io.outputs import BratFolder, DocBinFile, LineFile
from hanner.results import error_document
from support.sample_records import entity, records

LINES = [FormatName.JSONL, FormatName.HTML, FormatName.CONLL, FormatName.SPACY, FormatName.LABELSTUDIO]


HOLD_LOCK = """
import fcntl, sys
with open(sys.argv[1], "w") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("locked", flush=True)
    sys.stdin.read()
"""


def finish(output, rest):
    try:
        for record in rest[output.existing :]:
            output.write(record)
        output.finish()
    finally:
        output.close()


@pytest.mark.parametrize("name", LINES)
def test_file_truncated_anywhere_is_resumed_to_the_same_file(name, tmp_path, monkeypatch):
    monkeypatch.setattr(outputs.os, "fsync", lambda _: None)  # thousands of calls are slow
    path = tmp_path / "out"
    finish(LineFile(path, line_format(name), resume=False), records())
    whole = path.read_bytes()
    form = line_format(name)
    ends = list(accumulate((len(form.render(record).encode()) for record in records()), initial=len(form.header)))[1:]
    for length in sorted({*range(0, len(whole), 7), *range(len(whole) - 30, len(whole) + 1), *range(5)}):
        path.write_bytes(whole[:length])
        again = LineFile(path, line_format(name), resume=True)
        assert again.existing == sum(end <= length for end in ends), length
        assert not again.existing or again.ends_with(records()[again.existing - 1].text)
        finish(again, records())
        assert path.read_bytes() == whole, length


@pytest.mark.parametrize("name", LINES)
def test_finished_file_can_be_continued(name, tmp_path):
    path, half = tmp_path / "out", tmp_path / "half"
    finish(LineFile(path, line_format(name), resume=False), records())
    finish(LineFile(half, line_format(name), resume=False), records()[:3])
    finish(LineFile(half, line_format(name), resume=True), records())
    assert half.read_bytes() == path.read_bytes()


def test_new_run_truncates_the_file(tmp_path):
    path = tmp_path / "out"
    path.write_text("something longer than what follows\n" * 100)
    finish(LineFile(path, line_format(FormatName.JSONL), resume=False), records()[:1])
    assert path.read_text().count("\n") == 1


def test_file_of_another_text_or_format_is_rejected(tmp_path):
    path = tmp_path / "out"
    finish(LineFile(path, line_format(FormatName.JSONL), resume=False), records()[:1])
    again = LineFile(path, line_format(FormatName.JSONL), resume=True)
    assert not again.ends_with("别的")
    again.close()
    before = path.read_bytes()
    with pytest.raises(UsageError, match="is not a LabelStudio file"):
        LineFile(path, line_format(FormatName.LABELSTUDIO), resume=True)
    assert path.read_bytes() == before


def test_file_is_locked_for_one_process(tmp_path):
    path = tmp_path / "out"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        holder.stdout.readline()
        with pytest.raises(UsageError, match="another process writes to"):
            LineFile(path, line_format(FormatName.JSONL), resume=False)
        holder.stdin.close()


def test_records_are_flushed_after_the_interval(tmp_path):
    path, now = tmp_path / "out", [0.0]
    output = LineFile(path, line_format(FormatName.JSONL), resume=False, clock=lambda: now[0])
    output.write(records()[0])
    assert path.read_bytes() == b""
    now[0] = 1.0
    output.write(records()[1])
    assert path.read_bytes().count(b"\n") == 2
    output.close()


def test_full_disk_is_reported(tmp_path):
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


def test_brat_folder_is_resumed_at_a_document(tmp_path):
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
    assert again.existing == 2
    finish(again, records())
    assert contents(cut) == contents(whole)


def show(capsys, *written):
    table = outputs.StdoutTable()
    for record in written:
        table.write(record)
    table.finish()
    output = capsys.readouterr()
    return [re.split(r"  +", line.strip()) for line in output.out.splitlines()], output.err


def test_table_names_texts_without_entities_and_files(capsys):
    found = Document(entities=(entity("马云", "PER", 0),))
    rows, errors = show(
        capsys,
        Record(0, "马云", found, {"file": "a.txt"}),
        Record(1, "今天", Document(), {"file": "b.txt"}),
        Record(2, None, error_document("invalid_text", "bad line"), {"file": "b.txt"}),
    )
    assert rows[0] == ["text", "file", "entity", "type", "start", "end", "score"]
    assert [row[:3] for row in rows[1:]] == [["1", "a.txt", "马云"], ["2", "b.txt", "no entities"]]
    assert errors == "hanner: text 3: bad line\n"
    rows, _ = show(capsys, Record(0, "今天", Document()), Record(1, "马云", found))
    assert [row[:2] for row in rows] == [["text", "entity"], ["1", "no entities"], ["2", "马云"]]
    assert show(capsys, Record(0, "今天", Document()))[0] == [["No entities in 1 text."]]
    assert show(capsys)[0] == [["No entities in 0 texts."]]


def test_missing_spacy_is_reported(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(UsageError, match="pip install spacy"):
        DocBinFile(tmp_path / "out.spacy")
