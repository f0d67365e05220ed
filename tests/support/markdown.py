"""Reads the Markdown pages of the documentation."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUN_WITH_STACK = [
    "README.md",
    "README.zh.md",
    "docs/tutorial.md",
    "docs/zh/guide.md",
    *(f"docs/how-to/{name}.md" for name in ("bulk", "client", "dictionary", "full-queue", "http-api", "priorities")),
]
"""Pages whose code blocks run with a real stack and the bundled model. All other guides run with a fake model."""


def python_blocks(path):
    """Return the Python code blocks of a page, in order."""
    return re.findall(r"```python\n(.*?)```", path.read_text("utf-8"), re.DOTALL)


def curl_lines(path):
    """Return the lines of a page that call curl, in order."""
    return re.findall(r"^curl .*$", path.read_text("utf-8"), re.MULTILINE)
