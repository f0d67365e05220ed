"""The Python blocks of both READMEs, run as they stand against a running stack with the bundled model."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nerq.cli.stack import running

ROOT = Path(__file__).parents[2]
STANDARD = "redis://localhost:6379/0"
BLOCKS = [
    pytest.param(code, id=f"{name}-{number}")
    for name in ("README.md", "README.zh.md")
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", (ROOT / name).read_text("utf-8"), re.DOTALL))
]


@pytest.fixture(scope="module")
def url():
    with running(None, None, None, concurrency=1) as stack:
        yield stack.settings.broker_url


@pytest.mark.parametrize("code", BLOCKS)
def test_block(code, url):
    environment = os.environ | {"NERQ_BROKER_URL": url}
    code = code.replace(STANDARD, url)
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    if "entity.text" in code:
        assert ended.stdout.splitlines()[0].startswith("马云 PER 0 2 ")


def test_there_are_blocks_to_run():
    assert len(BLOCKS) >= 6
