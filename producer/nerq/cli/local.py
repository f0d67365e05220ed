"""What a worker's packages bring to commands here, without an import of theirs: entry points of `nerq.local`."""

from importlib import metadata
from typing import Any

from nerq.errors import NerqError

LOCAL = "nerq.local"


def local(name: str) -> Any:
    """Return what is there under this name.

    Raises:
        NerqError: its packages are not installed.
    """
    for entry in metadata.entry_points(group=LOCAL, name=name):
        try:
            return entry.load()
        except ImportError as error:
            raise NerqError(f"{error.name} is missing here: pip install 'nerq[worker]'") from None
    raise NerqError(f"nothing here is named {name}; install nerq again")
