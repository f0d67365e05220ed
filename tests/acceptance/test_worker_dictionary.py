"""The real worker with a dictionary: SIGHUP reloads it under load; an invalid one prevents the start or the reload."""

import os
import pty
import re
import signal
import sys
from pathlib import Path

import psutil
import pytest

from hanner.queue.stats import read_backlog
from support.waiting import wait_until
from support.workers import worker

TEXT = "马云在杭州"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "terms.tsv"
    path.write_text("马云在杭州\tONE\n", "utf-8")
    return path


def running(server, source, tiny_package, *options, terminal=None, **env):
    environment = {"HANNER_MODEL": str(tiny_package), "HANNER_DICTIONARY": str(source), **env}
    return worker(server.url, "-c", "2", *options, app="hanner_worker", env=environment, terminal=terminal)


def send(app, text=TEXT):
    return app.send_task("hanner.extract", [text])


def types(result):
    return [entity["type"] for entity in result.get(timeout=60)["entities"]]


def reported_types(server):
    """Return the types that the worker reports with its heartbeat."""
    (state,) = read_backlog(server.client, "hanner").workers
    return set(state.types)


def test_sighup_reloads_without_a_restart_and_without_loss(server, app, source, tiny_package):
    with running(server, source, tiny_package) as here:
        parent = psutil.Process(here.process.pid)
        processes = {child.pid for child in parent.children()}
        assert types(send(app)) == ["ONE"]
        source.write_text("马云在杭州\tTWO\n", "utf-8")
        results = [send(app) for _ in range(50)]
        here.process.send_signal(signal.SIGHUP)
        results += [send(app) for _ in range(50)]
        here.wait_for("reloaded: dictionary")
        after = [send(app) for _ in range(20)]
        assert {kind for result in results for kind in types(result)} <= {"ONE", "TWO"}
        assert all(len(types(result)) == 1 for result in results)
        assert [types(result) for result in after] == [["TWO"]] * 20
        wait_until(lambda: "TWO" in reported_types(server))
        assert {"LOC", "ORG", "PER"} < reported_types(server)
        assert {child.pid for child in parent.children()} == processes
        source.write_text("马云在杭州 THREE\n", "utf-8")
        here.process.send_signal(signal.SIGHUP)
        here.wait_for("the dictionary was not reloaded: line 1 of the dictionary")
        assert types(send(app)) == ["TWO"]
        assert here.stop() == 0
        assert "Restarting" not in here.output


def test_a_replacement_process_has_the_reloaded_terms(server, app, source, tiny_package):
    with running(server, source, tiny_package) as here:
        source.write_text("马云在杭州\tTWO\n", "utf-8")
        here.process.send_signal(signal.SIGHUP)
        here.wait_for("reloaded: dictionary")
        for child in psutil.Process(here.process.pid).children():
            os.kill(child.pid, signal.SIGKILL)
        assert types(send(app)) == ["TWO"]


def ignores_sighup(process):
    """Return whether a process ignores SIGHUP, as it does once it is initialised."""
    status = Path(f"/proc/{process.pid}/status").read_text("utf-8")
    ignored = int(re.search(r"^SigIgn:\s*(\w+)", status, re.MULTILINE)[1], 16)
    return bool(ignored & 1 << signal.SIGHUP - 1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_pool_processes_ignore_sighup(server, app, source, tiny_package):
    with running(server, source, tiny_package) as here:
        assert types(send(app)) == ["ONE"]
        parent = psutil.Process(here.process.pid)
        children = parent.children()
        wait_until(lambda: all(map(ignores_sighup, children)))
        for child in children:
            child.send_signal(signal.SIGHUP)
        assert types(send(app)) == ["ONE"]
        assert parent.children() == children
        assert here.stop() == 0


def test_worker_stops_when_its_terminal_closes(server, source, tiny_package):
    """The system sends SIGHUP then too. A reload instead would leave a worker that Ctrl-C cannot stop."""
    ours, theirs = pty.openpty()
    try:
        with running(server, source, tiny_package, terminal=theirs) as here:
            os.close(ours)
            assert here.wait() == 0
    finally:
        os.close(theirs)
    assert "reloaded" not in here.output


def test_cached_entities_of_an_older_dictionary_are_not_returned(server, app, source, tiny_package):
    with running(server, source, tiny_package, "-l", "DEBUG", HANNER_CACHE_TTL="60") as here:
        assert types(send(app)) == types(send(app)) == ["ONE"]
        here.wait_for("1 cached")
        source.write_text("马云在杭州\tTWO\n", "utf-8")
        here.process.send_signal(signal.SIGHUP)
        here.wait_for("reloaded: dictionary")
        assert types(send(app)) == types(send(app)) == ["TWO"]
        here.wait_for("1 cached", times=2)


def test_an_invalid_dictionary_prevents_the_start_with_one_line(server, source, tiny_package):
    source.write_text("马云\tPER\n杭州\n", "utf-8")
    with worker(
        server.url,
        app="hanner_worker",
        ready=False,
        env={"HANNER_MODEL": str(tiny_package), "HANNER_DICTIONARY": str(source)},
    ) as here:
        assert here.wait() == 1
        assert f"hanner: line 2 of the dictionary {source} has no TAB; write `term TAB type`" in here.output
