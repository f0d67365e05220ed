"""Settings, errors and installation in the READMEs match the code."""

import re
import tomllib
from pathlib import Path

import pytest

from hanner import errors
from hanner.contract import ErrorCode
from hanner.settings import Settings, table, variable

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text("utf-8")
CHINESE = (ROOT / "README.zh.md").read_text("utf-8")
BOTH = pytest.mark.parametrize("readme", [README, CHINESE], ids=["README.md", "README.zh.md"])


def settings_of(readme):
    found = re.search(r"<!-- settings.*? -->\n(.*?)\n<!-- /settings -->", readme, re.DOTALL)
    assert found
    return found[1]


def names_and_defaults(rows):
    return [row.split("|")[1:3] for row in rows.splitlines()[2:]]


def test_settings_table_is_the_generated_one():
    assert settings_of(README) == table()


def test_chinese_settings_table_has_the_same_names_and_defaults():
    rows = settings_of(CHINESE)
    assert names_and_defaults(rows) == names_and_defaults(table())
    assert all(re.search("[\u4e00-\u9fff]", row.split("|")[3]) for row in rows.splitlines()[2:])


def test_settings_table_has_every_setting():
    assert [row.split("`")[1] for row in table().splitlines()[2:]] == [variable(name) for name in Settings.model_fields]


def test_readme_lists_every_error_with_its_class():
    for code in ErrorCode:
        assert f"| `{code}` | `{errors.CLASSES[code].__name__}` |" in README


def test_every_setting_has_a_description():
    assert all(field.description for field in Settings.model_fields.values())


@BOTH
def test_nothing_is_installed_from_the_package_index(readme):
    """hanner has no release there."""
    assert not re.findall(r"pip install '?hanner", readme)
    assert "pip install '.[" in readme


@BOTH
def test_install_section_names_the_wheel_and_the_extras_of_this_version(readme):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert f"'dist/hanner-{project['version']}-py3-none-any.whl[" in readme
    for_developers = {"bench", "browser", "dev", "stack"}
    table = set(re.findall(r"^\| `([a-z]+)` \| ", readme[readme.index("pip install '.[worker,cli]'") :], re.MULTILINE))
    assert project["optional-dependencies"].keys() - for_developers <= table
