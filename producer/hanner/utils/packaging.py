"""How hanner was installed on this machine, and how to call its commands. Reads installed metadata, and PATH."""

import contextlib
import importlib.util
import json
import shlex
import shutil
import sys
from functools import cache
from pathlib import Path
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


def require(*modules: str) -> None:
    """Raise ModuleNotFoundError if one of the modules is not installed, as its import would, without importing it."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def shell_command(name: str) -> str:
    """Return how to call a program of this Python environment in a shell.

    This is its name if PATH finds it, otherwise its path, relative to the working folder if it is inside:
    `hanner`, `.venv/bin/hanner`, `/home/me/venv/bin/hanner`.
    """
    script = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    if not script.exists() or (found and Path(found).parent.resolve() == script.parent.resolve()):
        return name
    with contextlib.suppress(ValueError):
        script = script.relative_to(Path.cwd())
    return shlex.quote(str(script))


@cache
def _installation() -> tuple[str, dict[str, Any]]:
    """Return the name of the distribution that provides hanner, and its direct_url.json (PEP 610)."""
    from importlib import metadata  # noqa: PLC0415 - slow to import, and only needed for a hint

    # A wheel lists its modules and an editable installation does not, but both have the entry point of the command.
    for point in metadata.entry_points(group="console_scripts"):
        if point.value == _ENTRY_POINT and point.dist is not None:
            return point.dist.name, json.loads(point.dist.read_text("direct_url.json") or "{}")
    return _DEFAULT_NAME, {}
