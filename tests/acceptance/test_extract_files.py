"""`hanner extract` into files: killed, interrupted, out of room, and continued. A real server, a stub of a worker."""

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

import pytest

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


@pytest.mark.parametrize("name", ["out.jsonl", "out.html", "out.conll", "out.labelstudio"])
def test_killed_in_the_middle_and_resumed_it_is_the_same_file(name, broker, worker, texts, tmp_path):
    form = ["--format", "labelstudio"] if "labelstudio" in name else []
    cut, whole = tmp_path / name, tmp_path / f"whole-{name}"
    killed = start("-f", texts, "-o", cut, *form, broker=broker)
    worker.wait_for(30, timeout=60)  # 64 texts each, of which 1,024 are under way
    worker.hold()
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    worker.release()
    size, asked = cut.stat().st_size, len(worker.requests)
    with cut.open("ab") as file:
        file.write(b'{"text": "torn')
    assert run("-f", texts, "-o", cut, "--resume", *form, broker=broker)[0] == 0
    resumed = len(worker.requests) - asked
    assert run("-f", texts, "-o", whole, *form, broker=broker)[0] == 0
    assert size < whole.stat().st_size
    assert resumed < len(worker.requests) - asked - resumed  # it did not begin anew
    assert cut.read_bytes() == whole.read_bytes()


def test_a_finished_file_is_left_as_it_is(broker, worker, texts, tmp_path):
    out = tmp_path / "out.jsonl"
    assert run("-f", texts, "-o", out, broker=broker)[0] == 0
    before, asked = out.read_bytes(), len(worker.requests)
    assert before.count(b"\n") == LINES
    assert json.loads(before.split(b"\n")[5]) == {
        "text": "第5行，马云",
        "id": 5,
        "entities": [{"text": "马云", "type": "PER", "start": 4, "end": 6, "score": 0.9}],
    }
    assert run("-f", texts, "-o", out, "--resume", broker=broker)[0] == 0
    assert (out.read_bytes(), len(worker.requests)) == (before, asked)


def test_what_would_be_lost_or_mixed_up_is_refused(broker, worker, tmp_path):
    out, other = tmp_path / "out.jsonl", tmp_path / "other.txt"
    other.write_text("别的\n", "utf-8")
    assert run("甲", "乙", "-o", out, broker=broker)[0] == 0
    for arguments, words in (
        (("甲", "-o", out), "exists; go on with it by --resume, or overwrite it by --force"),
        (("-f", other, "-o", out, "--resume"), "was not made from this input"),
        (("甲", "丙", "-o", out, "--resume"), "was not made from this input"),
        (("甲", "--resume"), "name it with --output"),
        (("甲", "--format", "brat"), "name a folder"),
        (("甲", "--format", "table", "-o", "x"), "a table is for people"),
        (("甲", "-o", tmp_path / "x.spacy", "--format", "html"), "taken for a DocBin"),
    ):
        code, said, complaint = run(*arguments, broker=broker)
        assert (code, said, complaint.count("\n")) == (2, "", 1)
        assert words in complaint
    assert run("甲", "-o", out, "--force", broker=broker)[0] == 0
    assert out.read_text("utf-8").count("\n") == 1


def test_a_full_disk_is_a_sentence_and_loses_nothing(broker, worker, texts, tmp_path):
    def small():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    out, whole = tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    code, _, complaint = run("-f", texts, "-o", out, broker=broker, preexec_fn=small)
    assert code == 1
    assert complaint.startswith(f"hanner: {out} cannot be written: File too large")
    assert complaint.count("\n") == 1
    assert "--resume" in complaint
    assert run("-f", texts, "-o", out, "--resume", broker=broker)[0] == 0
    assert run("-f", texts, "-o", whole, broker=broker)[0] == 0
    assert out.read_bytes() == whole.read_bytes()


def test_ctrl_c_says_how_to_go_on(broker, worker, texts, tmp_path):
    out = tmp_path / "out.jsonl"
    process = start("-f", texts, "-o", out, broker=broker)
    worker.wait_for(30, timeout=60)
    worker.hold()
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaint.decode().startswith("hanner: interrupted. ")
    assert f"texts are in {out}; the same command with --resume goes on" in complaint.decode()
    assert "Traceback" not in complaint.decode()
    assert out.read_bytes().endswith(b"\n")


def test_bad_lines_keep_their_places(broker, worker, tmp_path):
    path = tmp_path / "texts.txt"
    path.write_bytes("马云\n".encode() + b"\xff\xfe\n" + b"\n" + b"x" * 200 + "\n北京".encode())
    code, said, complaint = run("-f", path, broker=broker)
    found = [json.loads(line) for line in said.splitlines()]
    assert [line.get("error", {}).get("code") for line in found] == [None, "invalid_text", None, None, None]
    assert "line 2 of" in found[1]["error"]["message"]
    assert code == 2
    assert complaint.startswith("hanner: 1 of 5 texts failed; the first is text 2: invalid_text: line 2 of")


def test_brat_makes_a_folder(broker, worker, tmp_path):
    out = tmp_path / "brat"
    assert run("昨天马云", "北京", "--format", "brat", "-o", out, broker=broker)[0] == 0
    assert (out / "000001.txt").read_text("utf-8") == "昨天马云\n北京\n"
    assert (out / "000001.ann").read_text("utf-8") == "T1\tPER 2 4\t马云\n"
    assert "[entities]" in (out / "annotation.conf").read_text("utf-8")


def test_a_reader_that_goes_away_ends_it_quietly(broker, worker, texts):
    process = start("-f", texts, broker=broker)
    process.stdout.readline()
    process.stdout.close()
    complaint = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(60) == 1
    assert "Traceback" not in complaint


def read_terminal(ours):
    said = b""
    try:
        while part := os.read(ours, 4096):
            said += part
    except OSError:  # how a terminal says that the other side has gone
        pass
    os.close(ours)
    return said.decode()


@pytest.mark.parametrize("plain", [False, True], ids=["colour", "NO_COLOR"])
def test_a_terminal_sees_how_far_it_is(plain, broker, worker, texts, tmp_path):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, "-f", str(texts), "-o", str(tmp_path / "out.jsonl")],
        stderr=theirs,
        env={**os.environ, "HANNER_BROKER_URL": broker, "TERM": "xterm", **({"NO_COLOR": "1"} if plain else {})},
    )
    os.close(theirs)
    said = read_terminal(ours)
    assert process.wait(60) == 0
    assert " texts" in said
    assert "/s" in said
    assert "%" in said
    assert f"{LINES:,} texts in" in said
    assert ("\x1b[3" in said) is not plain  # the codes of colours
