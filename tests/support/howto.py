"""The code of a guide."""

import re


def blocks(path):
    """Return the Python blocks of a Markdown file, in order."""
    return re.findall(r"```python\n(.*?)```", path.read_text("utf-8"), re.DOTALL)
