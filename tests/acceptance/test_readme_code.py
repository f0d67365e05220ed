"""Run the Python blocks and curl lines of both READMEs unchanged, with a real stack and the bundled model."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hanner.cli import demo_texts
from hanner.cli.gateway_process import ListenAddress
from hanner.cli.local_stack import run_stack

ROOT = Path(__file__).parents[2]
DEFAULT_URL = "redis://localhost:6379/0"
BLOCKS = [
    pytest.param(code, id=f"{name}-{number}")
    for name in ("README.md", "README.zh.md")
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", (ROOT / name).read_text("utf-8"), re.DOTALL))
]


CURL = [
    pytest.param(line, id=name)
    for name in ("README.md", "README.zh.md")
    for line in re.findall(r"^curl .*$", (ROOT / name).read_text("utf-8"), re.MULTILINE)
]


@pytest.fixture(scope="module")
def stack():
    with run_stack(listen=ListenAddress(), concurrency=1) as stack:
        yield stack


@pytest.fixture
def url(stack):
    return stack.settings.broker_url


@pytest.mark.parametrize("code", BLOCKS)
def test_python_block_runs(code, url):
    environment = os.environ | {"HANNER_BROKER_URL": url}
    code = code.replace(DEFAULT_URL, url)
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    if "entity.text" in code:
        assert ended.stdout.splitlines()[0].startswith("马云 PER 0 2 ")


@pytest.mark.parametrize("line", CURL)
def test_curl_line_runs(line, stack):
    line = line.replace("http://localhost:8000", stack.gateway.url)
    ended = subprocess.run(line, shell=True, capture_output=True, timeout=60, check=True)
    entities = json.loads(ended.stdout)["entities"]
    assert tuple((e["text"], e["type"], e["start"], e["end"]) for e in entities) == demo_texts.EXPECTED


def test_readmes_have_code():
    assert len(CURL) == 2
    assert len(BLOCKS) >= 6
