"""Run pytest several times while busy loops compete for the processor, and count the runs that failed.

    python tools/repeat_tests.py --runs 5 --load 12 -- pytest -q -n auto tests

Tests that pass only on an idle machine fail here. The output of each run is written to a file. Exits with 1 if a run
failed. Ctrl-C and SIGTERM interrupt the run and end all its processes; a second one kills them.
"""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from hanner.utils import processes

BUSY = """
import os, sys
first = os.getpid()
for _ in range(int(sys.argv[1]) - 1):
    if not os.fork():
        break
while first in (os.getpid(), os.getppid()):
    sum(range(1_000_000))
"""
LOGS = Path("build/test-repeat")
GRACE = 60.0
"""Seconds that an interrupted run has to end its fixtures."""
_SUMMARY = re.compile(r"^=* ?(\d+ \w+(?:, \d+ \w+)*) in \d[^=]*=*$", re.MULTILINE)
_FAILED = re.compile(r"^(?:FAILED|ERROR) .*", re.MULTILINE)


class Interrupted(Exception):  # noqa: N818 - not an error
    """A signal arrived. Its value is the signal's number."""


def interrupt(number: int, _: object) -> None:
    """Handle SIGINT and SIGTERM."""
    raise Interrupted(signal.Signals(number))


@contextlib.contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Run this many processes that only use the processor, in one session, as `stress-ng --cpu COUNT` would.

    Linux may share the processor between sessions, so loops with a session each would be that many times as heavy.
    """
    if not count:
        yield
        return
    loops = processes.start([sys.executable, "-c", BUSY, str(count)])
    try:
        yield
    finally:
        processes.stop(loops, timeout=GRACE)


def run(command: list[str], log: Path) -> int:
    """Run the command with its output in `log`, and return its exit status. After a signal no process of it remains."""
    with log.open("wb") as output:
        process = processes.start(command, output=output)
    try:
        return process.wait()
    except Interrupted:
        print(f"waiting at most {GRACE:.0f} s until the run has ended; a second signal kills it", flush=True)
        process.send_signal(signal.SIGINT)  # pytest ends its fixtures
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        raise
    finally:
        processes.stop(process, timeout=0)


def report(name: str, status: int, seconds: float, log: Path) -> str:
    """Return what there is to know about a run: outcome, counts, duration, load, log, and the tests that failed."""
    text = log.read_text("utf-8", "replace")
    outcome = f"failed with exit status {status}" if status else "passed"
    counts = (_SUMMARY.findall(text) or ["no summary of pytest"])[-1]
    load = " ".join(f"{average:.1f}" for average in os.getloadavg())
    line = f"{name}: {outcome}; {counts}; {seconds:.0f} s; load average {load} (1, 5, 15 min); {log}"
    return "\n  ".join([line, *(_FAILED.findall(text) if status else [])])


def main() -> int:
    """Run the command and return the exit status: 1 if a run failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="how often to run the command (default: 5)")
    parser.add_argument("--load", type=int, default=0, help="how many busy loops run meanwhile (default: 0)")
    parser.add_argument("--logs", type=Path, default=LOGS, help=f"folder of the logs (default: {LOGS})")
    parser.add_argument("command", nargs="+", help="the command and its arguments")
    options = parser.parse_args()
    options.logs.mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    failed = 0
    for number in range(1, options.runs + 1):
        name, log = f"run {number} of {options.runs}", options.logs / f"run-{number}.log"
        print(f"{name}; busy loops: {options.load}; output: {log}", flush=True)
        began = time.monotonic()
        try:
            with busy_loops(options.load):
                status = run(options.command, log)
        except Interrupted as end:
            (received,) = end.args
            print(f"interrupted in run {number} by {received.name}; output: {log}", flush=True)
            return 128 + received
        except OSError as error:
            parser.error(f"{options.command[0]} cannot be run: {error.strerror}")
        failed += status != 0
        print(report(name, status, time.monotonic() - began, log), flush=True)
    print(f"{failed} of {options.runs} runs failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
