"""What the READMEs say of settings and errors is what the code says."""

import re
from pathlib import Path

from hanner import errors
from hanner.contract import ErrorCode
from hanner.settings import Settings, table, variable

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text("utf-8")
CHINESE = (ROOT / "README.zh.md").read_text("utf-8")


def settings_of(readme):
    found = re.search(r"<!-- settings.*? -->\n(.*?)\n<!-- /settings -->", readme, re.DOTALL)
    assert found
    return found[1]


def names_and_defaults(rows):
    return [row.split("|")[1:3] for row in rows.splitlines()[2:]]


def test_the_settings_table_is_the_generated_one():
    assert settings_of(README) == table()


def test_the_chinese_table_has_the_same_names_and_defaults_and_says_what_each_is():
    rows = settings_of(CHINESE)
    assert names_and_defaults(rows) == names_and_defaults(table())
    assert all(re.search("[\u4e00-\u9fff]", row.split("|")[3]) for row in rows.splitlines()[2:])


def test_the_table_has_every_setting():
    assert [row.split("`")[1] for row in table().splitlines()[2:]] == [variable(name) for name in Settings.model_fields]


def test_every_error_stands_in_the_readme_with_its_class():
    for code in ErrorCode:
        assert f"| `{code}` | `{errors.CLASSES[code].__name__}` |" in README


def test_every_setting_says_what_it_is():
    assert all(field.description for field in Settings.model_fields.values())
