"""Reads the Markdown pages of the documentation."""

import re


def python_blocks(path):
    """Return the Python code blocks of a page, in order."""
    return re.findall(r"```python\n(.*?)```", path.read_text("utf-8"), re.DOTALL)
