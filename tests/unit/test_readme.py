"""What the README says of settings and errors is what the code says."""

import re
from pathlib import Path

from nerq import errors
from nerq.contract import ErrorCode
from nerq.settings import Settings, table, variable

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def test_the_settings_table_is_the_generated_one():
    found = re.search(r"<!-- settings: .*? -->\n(.*?)\n<!-- /settings -->", README, re.DOTALL)
    assert found
    assert found[1] == table()


def test_the_table_has_every_setting():
    assert [row.split("`")[1] for row in table().splitlines()[2:]] == [variable(name) for name in Settings.model_fields]


def test_every_error_stands_in_the_readme_with_its_class():
    for code in ErrorCode:
        assert f"| `{code}` | `{errors.CLASSES[code].__name__}` |" in README


def test_every_setting_says_what_it_is():
    assert all(field.description for field in Settings.model_fields.values())
