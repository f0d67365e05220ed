"""A failed test prints at most a screen, and the rest goes to a file."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.reports import shorten

FAILING = """
import pytest

def recurse(depth):
    if depth:
        recurse(depth - 1)
    lines = "\\n".join(f"line {number}" for number in range(5000))
    print(lines)
    assert not lines, f"no 'ready' in:\\n{lines}"

def test_many_lines():
    try:
        raise ValueError("first")
    except ValueError:
        recurse(50)

def test_few_lines():
    print("one line")
    assert 1 == 2
"""
CONFTEST = """
import pathlib
import pytest
from support.reports import shorten_report

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.failed:
        shorten_report(report, pathlib.Path("logs"))
    return report
"""


@pytest.fixture
def run(tmp_path):
    """Return a function that runs a test of FAILING in another process and returns the output."""
    (tmp_path / "test_failing.py").write_text(FAILING)
    (tmp_path / "conftest.py").write_text(CONFTEST)

    def call(name, *options):
        command = [sys.executable, "-m", "pytest", "-c/dev/null", "--rootdir=.", f"test_failing.py::{name}", *options]
        # Importing all installed plugins takes seconds.
        env = {"PYTHONPATH": str(Path(__file__).parents[2]), "CI": "true", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stdout

    return call


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "1")], ids=["one process", "pytest-xdist"])
def test_long_report_and_output_are_moved_to_a_file(run, tmp_path, options):
    output = run("test_many_lines", *options)
    assert len(output.splitlines()) < 80
    assert "no 'ready' in:" in output
    assert "line 4999" in output
    path = tmp_path / re.search(r"^logs/\S+$", output, re.MULTILINE)[0]
    full = path.read_text()
    assert all(full.count(f"line {number}\n") >= 2 for number in (0, 2500, 4999))
    assert "ValueError: first" in full


def test_short_report_is_unchanged(run, tmp_path):
    output = run("test_few_lines")
    assert "one line" in output
    assert "assert 1 == 2" in output
    assert "left out" not in output
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("count", "expected"),
    [(4, ["0", "1", "2", "3"]), (5, ["0", "... 2 lines left out ...", "3", "4"])],
)
def test_shorten(count, expected):
    assert shorten([str(number) for number in range(count)], 1, 2) == expected
