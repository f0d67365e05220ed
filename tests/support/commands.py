"""Run the `hanner` command as a subprocess; it is killed when the test ends or after a timeout."""

import os
import subprocess
import sys
import threading
from contextlib import contextmanager

MAX_SECONDS = 120
"""Seconds after which a command is killed."""


@contextmanager
def command(*arguments, env=None, cwd=None, timeout=MAX_SECONDS):
    """Start `hanner` with `arguments` and yield the process. Its stdout includes stderr."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-u", "-c", "from hanner.cli import main; main()", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        env={**os.environ, **(env or {})},
        cwd=cwd,
    )
    watchdog = threading.Timer(timeout, process.kill)
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
