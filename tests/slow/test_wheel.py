"""The wheel without extras works in a fresh environment, without numpy."""

import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CHECK = """
import importlib.util, sys
import hanner
from hanner import AsyncClient, Client
Client(), AsyncClient()
found = [name for name in ("numpy", "onnxruntime", "tokenizers", "torch", "typer") if importlib.util.find_spec(name)]
assert not found, found
assert hanner.__version__
assert hanner.__file__.startswith(sys.prefix), hanner.__file__
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Return the Python of an environment with the wheel and its dependencies only."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    (wheel,) = folder.glob("hanner-*.whl")
    venv.create(folder / "venv", with_pip=True)
    python = str(folder / "venv" / "bin" / "python")
    run(python, "-m", "pip", "install", "--quiet", str(wheel))
    return python


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd="/")


def test_import_without_extras(python):
    run(python, "-W", "error", "-c", CHECK)


def test_the_command_line_without_extras(python):
    hanner = Path(python).with_name("hanner")
    result = subprocess.run([hanner, "version"], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    hint, wheel = result.stderr.split("pip install ")
    assert hint == "hanner's command line is an extra: "
    assert re.fullmatch(r"'/\S+/hanner-\S+-py3-none-any\.whl\[cli\]'\n", wheel)
    assert result.stdout == ""
