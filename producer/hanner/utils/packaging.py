"""How hanner was installed on this machine. Reads the metadata of installed distributions on the first call."""

import json
import shlex
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

_ENTRY_POINT = "hanner.cli:main"
_DEFAULT_NAME = "hanner"


def install_hint(*extras: str) -> str:
    """Return the pip command that adds `extras` to this installation, in the form in which hanner was installed.

    This is the name of the distribution if it came from a package index, the folder of a clone, the path of a wheel, or
    the URL of a repository: `pip install 'hanner[worker]'`, `pip install '/home/me/hanner[worker]'`.
    """
    name, source = _installation()
    wanted = f"[{','.join(extras)}]" if extras else ""
    url = str(source.get("url", ""))
    if not url:
        return f"pip install {shlex.quote(name + wanted)}"
    parts = urlsplit(url)
    if parts.scheme == "file":
        editable = "-e " if source.get("dir_info", {}).get("editable") else ""
        return f"pip install {editable}{shlex.quote(unquote(parts.path) + wanted)}"
    repository = source.get("vcs_info", {})
    if repository:
        url = f"{repository['vcs']}+{url}@{repository['commit_id']}"
    return f"pip install {shlex.quote(f'{name}{wanted} @ {url}')}"


@cache
def _installation() -> tuple[str, dict[str, Any]]:
    """Return the name of the distribution that provides hanner, and its direct_url.json (PEP 610)."""
    from importlib import metadata  # noqa: PLC0415 - slow to import, and only needed for a hint

    # A wheel lists its modules and an editable installation does not, but both have the entry point of the command.
    for point in metadata.entry_points(group="console_scripts"):
        if point.value == _ENTRY_POINT and point.dist is not None:
            return point.dist.name, json.loads(point.dist.read_text("direct_url.json") or "{}")
    return _DEFAULT_NAME, {}
