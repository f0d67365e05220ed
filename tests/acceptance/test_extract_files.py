"""`hanner extract` into files: killed, interrupted, disk full, resumed. With a real Redis and a stub worker."""

import fcntl
import json
import os
import pty
import resource
import signal
import struct
import subprocess
import sys
import termios
from unittest.mock import ANY

import pytest

from support.stub_worker import StubWorker

LINES = 3000
COMMAND = [sys.executable, "-c", "from hanner.cli import main; main()", "extract"]


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.jsonl"
    lines = [{"text": f"第{number}行，马云" if number % 7 else "", "id": number} for number in range(LINES)]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    return path


def start(*arguments, broker, **options):
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        env={**os.environ, "HANNER_BROKER_URL": broker},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def run(*arguments, broker, **options):
    process = start(*arguments, broker=broker, **options)
    out, err = process.communicate(timeout=120)
    return process.returncode, out.decode(), err.decode()


def test_missing_worker_is_reported_while_the_command_waits(broker, tmp_path):
    process = start("马云", broker=broker)
    notice = process.stderr.readline().decode()
    assert notice == (
        "hanner: no worker serves the queue 'hanner'; start one with `hanner worker` or `hanner up`. Waiting …\n"
    )
    with StubWorker(broker):
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, b"")
    assert json.loads(output)["entities"][0]["text"] == "马云"
    code, _, errors = run("马云", "--timeout", "1.5", broker=broker)
    assert code == 1
    assert errors.splitlines()[-1].startswith(
        "hanner: no result came within 1.5 s: no worker serves the queue 'hanner'; "
    )


def test_pipe_is_read_without_a_dash_and_written_as_csv(broker, worker, tmp_path):
    out = tmp_path / "out.csv"
    process = start("--encoding", "utf-8", "-o", out, broker=broker, stdin=subprocess.PIPE)
    process.communicate("昨天，马云\n".encode(), timeout=60)
    assert process.returncode == 0
    assert out.read_text("utf-8-sig").splitlines()[1] == "昨天，马云,马云,PER,3,5,0.9,"
    with out.open("rb") as file:
        assert run(broker=broker, stdin=file)[:2] == (0, ANY)
    assert run(broker=broker, stdin=subprocess.DEVNULL)[:2] == (2, "")


@pytest.mark.parametrize("name", ["out.jsonl", "out.html", "out.conll", "out.labelstudio"])
def test_killed_run_is_resumed_to_the_same_file(name, broker, worker, texts, tmp_path):
    form = ["--format", "labelstudio"] if "labelstudio" in name else []
    cut, whole = tmp_path / name, tmp_path / f"whole-{name}"
    killed = start("-f", texts, "-o", cut, *form, broker=broker)
    worker.wait_for(30, timeout=60)  # 64 texts each; 1,024 texts are in flight
    worker.hold()
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    worker.release()
    size, requested = cut.stat().st_size, len(worker.requests)
    with cut.open("ab") as file:
        file.write(b'{"text": "torn')
    assert run("-f", texts, "-o", cut, "--resume", *form, broker=broker)[0] == 0
    resumed = len(worker.requests) - requested
    assert run("-f", texts, "-o", whole, *form, broker=broker)[0] == 0
    assert size < whole.stat().st_size
    assert resumed < len(worker.requests) - requested - resumed  # it did not start from the beginning
    assert cut.read_bytes() == whole.read_bytes()


def test_resume_leaves_a_finished_file_unchanged(broker, worker, texts, tmp_path):
    out = tmp_path / "out.jsonl"
    assert run("-f", texts, "-o", out, broker=broker)[0] == 0
    before, requested = out.read_bytes(), len(worker.requests)
    assert before.count(b"\n") == LINES
    assert json.loads(before.split(b"\n")[5]) == {
        "text": "第5行，马云",
        "id": 5,
        "entities": [{"text": "马云", "type": "PER", "start": 4, "end": 6, "score": 0.9}],
    }
    assert run("-f", texts, "-o", out, "--resume", broker=broker)[0] == 0
    assert (out.read_bytes(), len(worker.requests)) == (before, requested)


def test_conflicting_options_are_rejected(broker, worker, tmp_path):
    out, other = tmp_path / "out.jsonl", tmp_path / "other.txt"
    other.write_text("别的\n", "utf-8")
    assert run("甲", "乙", "-o", out, broker=broker)[0] == 0
    for arguments, words in (
        (("甲", "-o", out), "exists; continue it with --resume, or overwrite it with --force"),
        (("-f", other, "-o", out, "--resume"), "was not made from this input"),
        (("甲", "丙", "-o", out, "--resume"), "was not made from this input"),
        (("甲", "--resume"), "add --output"),
        (("甲", "--format", "brat"), "name a folder"),
        (("甲", "--format", "table", "-o", "x"), "a table is for the terminal"),
        (("甲", "-o", tmp_path / "x.spacy", "--format", "html"), "suffix of a spaCy DocBin"),
        (("甲", "-o", tmp_path / "x.csv", "--format", "jsonl"), "has the suffix of csv, but --format is jsonl"),
        (("甲", "-o", tmp_path / "x.csv", "--resume"), "cannot be resumed"),
        (("甲", "-o", tmp_path / "x.unknown"), "no suffix of an output format"),
    ):
        code, output, errors = run(*arguments, broker=broker)
        assert (code, output, errors.count("\n")) == (2, "", 1)
        assert words in errors
    assert run("甲", "-o", out, "--force", broker=broker)[0] == 0
    assert out.read_text("utf-8").count("\n") == 1


def test_full_disk_is_reported_and_can_be_resumed(broker, worker, texts, tmp_path):
    def small():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    out, whole = tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    code, _, errors = run("-f", texts, "-o", out, broker=broker, preexec_fn=small)
    assert code == 1
    assert errors.startswith(f"hanner: {out} cannot be written: File too large")
    assert errors.count("\n") == 1
    assert "--resume" in errors
    assert run("-f", texts, "-o", out, "--resume", broker=broker)[0] == 0
    assert run("-f", texts, "-o", whole, broker=broker)[0] == 0
    assert out.read_bytes() == whole.read_bytes()


def test_ctrl_c_prints_how_to_resume_and_revokes_what_is_under_way(broker, server, worker, texts, tmp_path):
    out = tmp_path / "out.jsonl"
    process = start("-f", texts, "-o", out, broker=broker)
    worker.wait_for(30, timeout=60)
    worker.hold()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.decode().startswith("hanner: interrupted. ")
    assert f"texts are in {out}; run the same command with --resume to continue" in errors.decode()
    assert "Traceback" not in errors.decode()
    assert out.read_bytes().endswith(b"\n")
    waiting = {request["id"] for request in worker.requests} - {
        key.removeprefix("celery-task-meta-") for key in server.client.scan_iter("celery-task-meta-*")
    }
    assert not waiting  # what was under way is revoked


def test_invalid_lines_keep_their_places(broker, worker, tmp_path):
    path = tmp_path / "texts.txt"
    path.write_bytes("马云\n".encode() + b"\xff\xfe\n" + b"\n" + b"x" * 200 + "\n北京".encode())
    code, output, errors = run("-f", path, broker=broker)
    found = [json.loads(line) for line in output.splitlines()]
    assert [line.get("error", {}).get("code") for line in found] == [None, "invalid_text", None, None, None]
    assert "line 2 of" in found[1]["error"]["message"]
    assert code == 2
    assert errors.startswith("hanner: 1 of 5 texts failed; first error: text 2: invalid_text: line 2 of")


def test_brat_writes_a_folder(broker, worker, tmp_path):
    out = tmp_path / "brat"
    assert run("昨天马云", "北京", "--format", "brat", "-o", out, broker=broker)[0] == 0
    assert (out / "000001.txt").read_text("utf-8") == "昨天马云\n北京\n"
    assert (out / "000001.ann").read_text("utf-8") == "T1\tPER 2 4\t马云\n"
    assert "[entities]" in (out / "annotation.conf").read_text("utf-8")


def test_closed_pipe_ends_the_command_without_traceback(broker, worker, texts):
    process = start("-f", texts, broker=broker)
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(60) == 1
    assert "Traceback" not in errors


def read_terminal(ours):
    output = b""
    try:
        while part := os.read(ours, 4096):
            output += part
    except OSError:  # the other end of the terminal is closed
        pass
    os.close(ours)
    return output.decode()


@pytest.mark.parametrize("plain", [False, True], ids=["colour", "NO_COLOR"])
def test_terminal_shows_progress(plain, broker, worker, texts, tmp_path):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, "-f", str(texts), "-o", str(tmp_path / "out.jsonl")],
        stderr=theirs,
        env={**os.environ, "HANNER_BROKER_URL": broker, "TERM": "xterm", **({"NO_COLOR": "1"} if plain else {})},
    )
    os.close(theirs)
    output = read_terminal(ours)
    assert process.wait(60) == 0
    assert " texts" in output
    assert "/s" in output
    assert "%" in output
    assert f"{LINES:,} texts in" in output
    assert ("\x1b[3" in output) is not plain  # colour codes
