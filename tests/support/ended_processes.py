"""Wait until processes have ended."""

import psutil

from support.waiting import wait_until


def wait_ended(processes):
    """Wait until processes have ended.

    psutil.wait_procs also waits until an orphan is reaped, which the first process of a container does seconds later,
    or never.
    """
    wait_until(lambda: not any(map(_runs, processes)), why=lambda: str(processes))


def _runs(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
