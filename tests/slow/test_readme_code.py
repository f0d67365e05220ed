"""Run the Python blocks and curl lines of READMEs, tutorial and guides, with a real stack and the bundled model."""

import json
import os
import subprocess
import sys

import pytest

from hanner.cli import demo_texts
from hanner.cli.gateway_process import ListenAddress
from hanner.cli.local_stack import run_stack
from hanner.contract import DEFAULT_GATEWAY_PORT, EXAMPLE_TEXT
from support.markdown import ROOT, RUN_WITH_STACK, curl_lines, python_blocks

DEFAULT_URL = "redis://localhost:6379/0"
GATEWAY_URL = f"http://localhost:{DEFAULT_GATEWAY_PORT}"


def examples(read):
    return [
        pytest.param(example, id=f"{name}-{number}")
        for name in RUN_WITH_STACK
        for number, example in enumerate(read(ROOT / name))
    ]


BLOCKS = examples(python_blocks)
CURL = examples(curl_lines)


@pytest.fixture(scope="module")
def stack():
    with run_stack(listen=ListenAddress(), concurrency=1) as stack:
        yield stack


@pytest.fixture
def url(stack):
    return stack.settings.broker_url


@pytest.mark.parametrize("code", BLOCKS)
def test_python_block_runs(code, url, tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", code.replace(DEFAULT_URL, url)],
        env=os.environ | {"HANNER_BROKER_URL": url},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    if "entity.text, entity.type, entity.start" in code:
        assert ended.stdout.splitlines()[0].startswith("马云 PER 0 2 ")


@pytest.mark.parametrize("line", CURL)
def test_curl_line_runs(line, stack):
    assert GATEWAY_URL in line
    command = line.replace(GATEWAY_URL, stack.gateway.url).replace("curl ", "curl --fail-with-body ", 1)
    ended = subprocess.run(command, shell=True, capture_output=True, timeout=60, check=True)
    answer = json.loads(ended.stdout)
    if EXAMPLE_TEXT in line:
        assert tuple((e["text"], e["type"], e["start"], e["end"]) for e in answer["entities"]) == demo_texts.EXPECTED


def test_every_page_has_code():
    assert all(python_blocks(ROOT / name) or curl_lines(ROOT / name) for name in RUN_WITH_STACK)


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_readme_has_two_programs_and_a_request(name):
    assert [len(python_blocks(ROOT / name)), len(curl_lines(ROOT / name))] == [2, 1]
