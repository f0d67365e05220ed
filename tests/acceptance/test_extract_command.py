"""`hanner extract` as a user runs it, with a real Redis and a stub worker."""

import json
import os
import pty
import subprocess
import sys

from support.stub_worker import failed

TEXT = "昨天马云在杭州"
FOUND = {"text": "马云", "type": "PER", "start": 2, "end": 4, "score": 0.9}


def hanner(*arguments, broker, given=b"", locale=None, **options):
    return subprocess.run(
        [sys.executable, "-c", "from hanner.cli import main; main()", *arguments],
        input=given,
        capture_output=True,
        env={**os.environ, "HANNER_BROKER_URL": broker, **(locale or {})},
        timeout=60,
        check=False,
        **options,
    )


def lines(result):
    assert result.returncode == 0, result.stderr.decode()
    return [json.loads(line) for line in result.stdout.decode().splitlines()]


def test_pipe_gets_one_document_per_line(broker, worker):
    assert lines(hanner("extract", TEXT, "没有", broker=broker)) == [
        {"text": TEXT, "entities": [FOUND]},
        {"text": "没有", "entities": []},
    ]


def test_types_and_score(broker, worker):
    for options, found in (("--types LOC", []), ("--types LOC,PER --min-score 0.9", [FOUND]), ("--min-score 0.95", [])):
        assert lines(hanner("extract", TEXT, *options.split(), broker=broker))[0]["entities"] == found


def test_lines_of_stdin_and_of_files(broker, worker, tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text(f"甲\n\n{TEXT}\r\n", encoding="utf-8")
    found = lines(hanner("extract", "-", "-f", str(file), broker=broker, given="乙\n丙".encode()))
    assert [document["text"] for document in found] == ["甲", "", TEXT, "乙", "丙"]
    (whole,) = lines(hanner("extract", "--whole", "-f", str(file), broker=broker))
    assert whole["text"] == f"甲\n\n{TEXT}\r\n"
    assert whole["entities"][0]["start"] == 5


def test_terminal_gets_a_table(broker, worker):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from hanner.cli import main; main()", "extract", TEXT],
        stdout=theirs,
        env={**os.environ, "HANNER_BROKER_URL": broker, "TERM": "xterm"},
    )
    os.close(theirs)
    output = b""
    try:
        while part := os.read(ours, 4096):
            output += part
    except OSError:  # the other end of the terminal is closed
        pass
    os.close(ours)
    assert process.wait(60) == 0
    text = output.decode()
    assert "马云" in text
    assert "PER" in text
    assert "\x1b[" in text


def test_errors_are_part_of_the_document(broker, worker):
    worker.behaviour = lambda request: failed("WorkerLostError")
    result = hanner("extract", TEXT, broker=broker)
    assert result.returncode == 1
    assert json.loads(result.stdout)["error"]["code"] == "worker_lost"
    result = hanner("extract", b"\xff\xfe", broker=broker)
    assert result.returncode == 2
    assert json.loads(result.stdout)["error"]["code"] == "invalid_text"


def test_missing_worker_times_out(broker):
    result = hanner("extract", "--timeout", "0.2", TEXT, broker=broker)
    assert result.returncode == 1
    assert result.stdout == b""
    assert result.stderr.decode().startswith("hanner: no result came within 0.2 s")


def test_priority_and_model(broker, worker, tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text(TEXT, "utf-8")
    lines(hanner("extract", TEXT, broker=broker))
    lines(hanner("extract", "-f", str(file), broker=broker))
    lines(hanner("extract", "-f", str(file), "--priority", "interactive", broker=broker))
    assert [request["list"] for request in worker.requests] == ["hanner", "hanner.bulk", "hanner"]
    result = hanner("extract", TEXT, "--model", "nwes", broker=broker)
    assert result.returncode == 2
    assert "no worker of model 'nwes' has ever run here" in result.stderr.decode()


def test_locale_without_utf_8_changes_neither_arguments_nor_results(broker, worker):
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for form in ("jsonl", "table"):
        done = hanner("extract", TEXT, "--format", form, broker=broker, locale=locale)
        assert done.returncode == 0, done.stderr
        assert b"\\u9a6c\\u4e91" in done.stdout
