"""Fixtures and options that all test folders share."""

import gc
import os
import signal

import hypothesis
import pytest

from hanner.errors import HannerError
from support.mixing import mixed
from support.packages import write_tiny_package
from support.reports import shorten_report
from support.servers import choose_server, hide_running_stack, server_version

hypothesis.settings.register_profile(
    "busy machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("fast", hypothesis.settings.get_profile("busy machine"), max_examples=25)
hypothesis.settings.load_profile("busy machine")

gc.disable()  # during the collection, which creates many objects and frees few


def pytest_configure():
    notice_ignored_signals()
    choose_server()
    hide_running_stack()


def notice_ignored_signals():
    """Make sure that the programs of the tests get all signals.

    They would ignore those that this process ignores: SIGHUP under `nohup`, SIGINT in a background job of a script.
    """
    for each in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(each) == signal.SIG_IGN:
            signal.signal(each, lambda *_: None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Mix the modules of the folders, so that tests that wait run beside tests that compute, on all processes.

    Each process of pytest-xdist begins with a contiguous part of the tests. In alphabetical order one would begin with
    all tests that wait, and at the end all processes would wait.
    """
    if hasattr(config, "workerinput"):
        items[:] = mixed(
            items, lambda item: "/".join(item.nodeid.split("/")[:2]), lambda item: item.nodeid.partition("::")[0]
        )


def pytest_collection_finish():
    """Collect garbage rarely, and never look at imported modules again: it took a seventh of the CPU time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def pytest_report_header():
    try:
        name, version = server_version()
    except HannerError:
        return "server of the tests: none is installed"
    return f"server of the tests: {name} {'.'.join(map(str, version))}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """More processes than cores, because most tests wait for other processes."""
    return int(os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS", "0")) or 2 * len(os.sched_getaffinity(0))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.failed:
        shorten_report(report, item.config.rootpath / "build" / "test-logs")
    return report


@pytest.fixture(scope="session")
def tiny_package(tmp_path_factory):
    """Return the folder of a small model package with random weights. Tests must not change it."""
    return write_tiny_package(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tiny_piece_package(tmp_path_factory):
    """Return the folder of a small package that reads word pieces and labels characters. Tests must not change it."""
    from support.piece_packages import write_tiny_piece_package  # noqa: PLC0415 - imports the model tools

    return write_tiny_piece_package(tmp_path_factory.mktemp("models") / "tiny-pieces")
