"""Install hints name the distribution that is installed, and the place that it was installed from."""

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from hanner.utils import packaging
from hanner.utils.packaging import install_hint, shell_command

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _uncached():
    packaging._installation.cache_clear()
    yield
    packaging._installation.cache_clear()


def install(monkeypatch, tmp_path, name="hanner", source=None):
    """Make a folder with the metadata of one distribution, and look for distributions only there."""
    info = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[console_scripts]\nhanner = hanner.cli:main\n")
    if source is not None:
        (info / "direct_url.json").write_text(json.dumps(source))
    monkeypatch.setattr(sys, "path", [str(tmp_path)])


CLONE = "file:///home/me/my%20code/hanner"
REPOSITORY = "https://example.org/hanner.git"


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        (None, "pip install 'hanner[worker]'"),
        ({"url": CLONE, "dir_info": {}}, "pip install '/home/me/my code/hanner[worker]'"),
        ({"url": CLONE, "dir_info": {"editable": True}}, "pip install -e '/home/me/my code/hanner[worker]'"),
        (
            {"url": "file:///tmp/hanner-1.0-py3-none-any.whl", "archive_info": {"hash": "sha256=0"}},
            "pip install '/tmp/hanner-1.0-py3-none-any.whl[worker]'",
        ),
        (
            {"url": "https://example.org/hanner-1.0-py3-none-any.whl", "archive_info": {}},
            "pip install 'hanner[worker] @ https://example.org/hanner-1.0-py3-none-any.whl'",
        ),
        (
            {"url": REPOSITORY, "vcs_info": {"vcs": "git", "commit_id": "0123abcd"}},
            "pip install 'hanner[worker] @ git+https://example.org/hanner.git@0123abcd'",
        ),
    ],
)
def test_the_hint_uses_the_source_of_the_installation(monkeypatch, tmp_path, source, hint):
    install(monkeypatch, tmp_path, source=source)
    assert install_hint("worker") == hint


def test_the_hint_names_the_distribution_that_provides_hanner(monkeypatch, tmp_path):
    install(monkeypatch, tmp_path, name="our-hanner")
    assert install_hint("cli", "worker") == "pip install 'our-hanner[cli,worker]'"
    assert install_hint() == "pip install our-hanner"


def test_the_hint_without_metadata_names_hanner(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert install_hint("cli") == "pip install 'hanner[cli]'"


def test_every_extra_named_in_a_hint_exists():
    sources = [path.read_text("utf-8") for folder in ("producer", "worker") for path in (ROOT / folder).rglob("*.py")]
    named = {extra for source in sources for extra in re.findall(r"install_hint\([\"'](\w+)[\"']\)", source)}
    assert {"cli", "worker", "gateway", "embedded", "models", "otel"} <= named
    assert named <= set(metadata.metadata("hanner").get_all("Provides-Extra"))


def test_importing_the_module_reads_no_metadata():
    code = "import sys, hanner.utils.packaging; print('importlib.metadata' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.fixture
def environment(monkeypatch, tmp_path):
    """A Python environment with the program `tool` in a folder with a space, which is not on PATH."""
    folder = tmp_path / "my code" / "bin"
    folder.mkdir(parents=True)
    for name in ("python", "tool"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    return folder


def test_program_on_path_is_called_by_its_name(environment, monkeypatch):
    monkeypatch.setenv("PATH", str(environment))
    assert shell_command("tool") == "tool"


def test_program_outside_path_is_called_by_its_path(environment, monkeypatch):
    assert shell_command("tool") == f"'{environment}/tool'"
    monkeypatch.chdir(environment.parent)
    assert shell_command("tool") == "bin/tool"


def test_program_of_the_same_name_elsewhere_is_not_called(environment, tmp_path):
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    (tmp_path / "tool").chmod(0o755)
    assert shell_command("tool") == f"'{environment}/tool'"


def test_program_that_is_not_next_to_python_is_called_by_its_name(environment):
    (environment / "tool").unlink()
    assert shell_command("tool") == "tool"
