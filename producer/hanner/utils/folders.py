"""Where hanner keeps on this machine what must outlive a command."""

import os
from pathlib import Path


def home() -> Path:
    """Return the folder for data: $XDG_DATA_HOME/hanner, or ~/.local/share/hanner. It may not exist yet."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "hanner"
