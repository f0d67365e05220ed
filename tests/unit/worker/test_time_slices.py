"""Long time slices change nothing but the slices, and nothing at all where the kernel does not know them."""

import os
import platform
import subprocess
import sys

import pytest

from hanner_worker import time_slices
from hanner_worker.time_slices import SECONDS, read_slice, use_long_slices

KERNEL = tuple(map(int, platform.release().split(".")[:2])) if sys.platform == "linux" else (0, 0)
NEEDS_LINUX_6_12 = pytest.mark.skipif(KERNEL < (6, 12), reason="time slices can be set from Linux 6.12 on")


def run(code) -> str:
    """Return what a new process prints, because the slices of this one must not change."""
    code = f"import os\nfrom hanner_worker.time_slices import *\n{code}"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    ).stdout.strip()


@NEEDS_LINUX_6_12
def test_slices_are_longer_afterwards():
    before, accepted, after = run("print(read_slice(0), use_long_slices(), read_slice(0))").split()
    assert (float(before) < SECONDS, accepted, float(after)) == (True, "True", SECONDS)


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's scheduler")
@pytest.mark.parametrize("policy", ["SCHED_OTHER", "SCHED_BATCH"])
def test_policy_and_nice_value_are_kept(policy):
    code = f"os.sched_setscheduler(0, os.{policy}, os.sched_param(0)); os.nice(3); use_long_slices()"
    found = run(f"{code}; print(os.sched_getscheduler(0) == os.{policy}, os.getpriority(os.PRIO_PROCESS, 0))")
    assert found == f"True {3 + os.getpriority(os.PRIO_PROCESS, 0)}"


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's scheduler")
def test_a_policy_without_slices_is_kept():
    code = "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))"
    assert run(f"{code}; print(use_long_slices(), os.sched_getscheduler(0) == os.SCHED_IDLE)") == "False True"


def test_an_unknown_machine_is_left_alone(monkeypatch):
    monkeypatch.setattr(time_slices.platform, "machine", lambda: "sparc64")
    assert not use_long_slices()
    assert read_slice(0) is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's scheduler")
def test_a_process_that_does_not_exist_has_no_slice():
    assert read_slice(2**22 + 1) is None
