"""The READMEs name the right commands for installation."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text("utf-8")
CHINESE = (ROOT / "README.zh.md").read_text("utf-8")
BOTH = pytest.mark.parametrize("readme", [README, CHINESE], ids=["README.md", "README.zh.md"])


@BOTH
def test_nothing_is_installed_from_the_package_index(readme):
    """hanner has no release there."""
    assert not re.findall(r"pip install '?hanner", readme)
    assert "pip install '.[" in readme


@BOTH
def test_install_section_names_the_wheel_and_the_extras_of_this_version(readme):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert f"'dist/hanner-{project['version']}-py3-none-any.whl[" in readme
    for_developers = {"bench", "browser", "dev", "docs", "stack"}
    extras = project["optional-dependencies"].keys() - for_developers
    assert extras <= set(re.findall(r"`([a-z]+)`", readme))
