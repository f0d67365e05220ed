"""Run a command several times while busy loops compete for the processor, and count the runs that failed.

    python tools/repeat_tests.py --runs 5 --load 12 -- pytest -n auto tests

Tests that pass only on an idle machine fail here. Exits with 1 if a run failed.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator

BUSY = "import os, sys\nwhile os.getppid() == int(sys.argv[1]): sum(range(1_000_000))"


@contextlib.contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Run this many processes that only use the processor; they end with this one."""
    loops = [subprocess.Popen([sys.executable, "-c", BUSY, str(os.getpid())]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def main() -> int:
    """Run the command and return the exit status: 1 if a run failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="how often to run the command (default: 5)")
    parser.add_argument("--load", type=int, default=0, help="how many busy loops run meanwhile (default: 0)")
    parser.add_argument("command", nargs="+", help="the command and its arguments")
    options = parser.parse_args()
    failed = 0
    for number in range(1, options.runs + 1):
        began = time.monotonic()
        with busy_loops(options.load):
            status = subprocess.run(options.command, check=False).returncode
        failed += status != 0
        print(
            f"run {number} of {options.runs}, {options.load} busy loops: exit status {status},"
            f" {time.monotonic() - began:.0f} s",
            flush=True,
        )
    print(f"{failed} of {options.runs} runs failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
