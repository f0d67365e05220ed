"""What a worker's packages bring to commands here, without an import of theirs: entry points of `hanner.local`."""

from importlib import metadata
from typing import Any

from hanner.errors import HannerError
from hanner.utils.packaging import install_hint

LOCAL = "hanner.local"


def local(name: str) -> Any:
    """Return what is there under this name.

    Raises:
        HannerError: its packages are not installed.
    """
    for entry in metadata.entry_points(group=LOCAL, name=name):
        try:
            return entry.load()
        except ImportError as error:
            raise HannerError(f"{error.name} is missing here: {install_hint('worker')}") from None
    raise HannerError(f"nothing here is named {name}; install hanner again")
