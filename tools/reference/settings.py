"""The page of all settings, from `hanner.settings`."""

from pydantic import SecretStr

from hanner.settings import FILE_SUFFIX, Settings, variable
from reference.markdown import code, page, table

INTRODUCTION = f"""\
# Settings

Client, worker and gateway read the same environment variables. An empty variable counts as not set.

To mount a secret as a file, set `HANNER_…{FILE_SUFFIX}` to its path, for example `HANNER_API_KEYS{FILE_SUFFIX}`. The
variable itself takes precedence over its file. In Python, every setting is also an argument:
`Client(timeout=5)`, or `Settings.from_env(timeout=5)`. An argument takes precedence over the environment.

An invalid value is an error that names the variable. `hanner doctor` also reports misspelt variables."""


def render() -> str:
    """Return the page."""
    rows = [
        (code(variable(name)), code(_default(field.default)), field.description)
        for name, field in Settings.model_fields.items()
    ]
    return page(INTRODUCTION, table(["variable", "default", "what it sets"], rows))


def _default(value: object) -> object:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return int(value) if isinstance(value, bool) else value
