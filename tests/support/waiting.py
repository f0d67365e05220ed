"""Wait until a condition holds. Every wait in the tests has a deadline that is generous on a busy machine."""

import time

DEADLINE = 180
"""Seconds that a test waits at most unless it says otherwise. On a busy machine, a command starts in a minute."""
INTERVAL = 0.005


def wait_until(condition, timeout=DEADLINE, *, why=str, ignore=OSError):
    """Call `condition` every few milliseconds until it returns something true, and return that.

    An exception of a type in `ignore` counts as false. After `timeout` seconds the test fails with the last result and
    the text of `why()`.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            if found := condition():
                return found
        except ignore as error:
            found = error
        assert time.monotonic() < deadline, f"not within {timeout} s; last: {found!r} {why()}"
        time.sleep(INTERVAL)
