"""`make test-repeat`: the reports of runs, and no process after a signal."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from support.ended_processes import wait_ended
from support.waiting import wait_until

TOOL = Path(__file__).parents[2] / "tools" / "repeat_tests.py"
PASSING = "print('.\\n3 passed, 1 skipped in 0.12s')"
FAILING = """
print("FAILED tests/test_a.py::test_b - assert 0")
print("= 1 failed, 2 passed in 0.12s =", flush=True)
raise SystemExit(1)
"""
CHILD = """
import subprocess, sys
subprocess.run([sys.executable, "-c", "import time; print(1, flush=True); time.sleep(600)"])
"""
UNMEASURED = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
"""The environment of commands that are ended by a signal: coverage would handle SIGTERM."""
STUBBORN = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"


def command(tmp_path, code, *options):
    return [sys.executable, str(TOOL), "--logs", str(tmp_path / "logs"), *options, "--", sys.executable, "-c", code]


def run(*arguments):
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=False)


def test_each_run_is_reported_with_its_log(tmp_path):
    done = run(tmp_path, PASSING, "--runs", "2", "--load", "1")
    lines = done.stdout.splitlines()
    for number in (1, 2):
        log = tmp_path / "logs" / f"run-{number}.log"
        assert log.read_text().splitlines() == [".", "3 passed, 1 skipped in 0.12s"]
        assert f"run {number} of 2; busy loops: 1; output: {log}" in lines
        (line,) = (each for each in lines if each.startswith(f"run {number} of 2: passed; 3 passed, 1 skipped; "))
        assert "; load average " in line
        assert line.endswith(str(log))
    assert lines[-1] == "0 of 2 runs failed"
    assert done.returncode == 0


def test_failed_tests_are_listed(tmp_path):
    done = run(tmp_path, FAILING, "--runs", "1")
    assert "run 1 of 1: failed with exit status 1; 1 failed, 2 passed; " in done.stdout
    assert "\n  FAILED tests/test_a.py::test_b - assert 0\n" in done.stdout
    assert done.stdout.endswith("\n1 of 1 runs failed\n")
    assert done.returncode == 1


def test_output_without_a_summary_is_reported(tmp_path):
    assert "run 1 of 1: passed; no summary of pytest; " in run(tmp_path, "print('hello')", "--runs", "1").stdout


def test_missing_command_is_an_error(tmp_path):
    done = subprocess.run(
        [sys.executable, str(TOOL), "--logs", str(tmp_path), "--", str(tmp_path / "none")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "cannot be run" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_no_process_remains_after_a_signal(tmp_path, number):
    invocation = command(tmp_path, CHILD, "--load", "2")
    with subprocess.Popen(invocation, stdout=subprocess.PIPE, text=True, env=UNMEASURED) as process:
        log = tmp_path / "logs" / "run-1.log"
        wait_until(log.read_text)
        started = psutil.Process(process.pid).children(recursive=True)
        assert len(started) == 4  # two busy loops, the command and its child
        process.send_signal(number)
        output, _ = process.communicate(timeout=180)
    assert process.returncode == 128 + number
    assert f"interrupted in run 1 by {number.name}; output: {log}" in output
    wait_ended(started)


def test_second_signal_kills_a_command_that_does_not_end(tmp_path):
    with subprocess.Popen(command(tmp_path, STUBBORN), stdout=subprocess.PIPE, text=True, env=UNMEASURED) as process:
        wait_until((tmp_path / "logs" / "run-1.log").read_text)
        (stubborn,) = psutil.Process(process.pid).children()
        process.terminate()
        for line in process.stdout:
            if "waiting" in line:
                process.terminate()
        process.wait(180)
    assert process.returncode == 128 + signal.SIGTERM
    wait_ended([stubborn])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs PR_SET_PDEATHSIG of Linux")
def test_no_process_remains_when_it_is_killed(tmp_path):
    invocation = command(tmp_path, STUBBORN, "--load", "1")
    with subprocess.Popen(invocation, stdout=subprocess.PIPE, env=UNMEASURED) as process:
        wait_until((tmp_path / "logs" / "run-1.log").read_text)
        started = psutil.Process(process.pid).children()
        assert len(started) == 2
        os.kill(process.pid, signal.SIGKILL)
    wait_ended(started)
