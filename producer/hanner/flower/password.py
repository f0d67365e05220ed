"""Flower's password: from a file, and made up on the first start. There is no default that others know."""

import contextlib
import os
import secrets
from pathlib import Path

from hanner.errors import HannerError, InvalidSettings
from hanner.settings import variable

USER = "hanner"
FILE = "flower-password"
BYTES = 18
"""Of randomness in a password that is made up; 24 characters."""


def read_or_make(path: Path) -> tuple[str, bool]:
    """Return the password in a file, and whether it was made up just now; then only its owner may read the file.

    Raises:
        InvalidSettings: the file has no password in it.
        HannerError: the file can be neither read nor written.
    """
    try:
        with contextlib.suppress(FileNotFoundError):
            return _checked(path), False
        path.parent.mkdir(parents=True, exist_ok=True)
        password = secrets.token_urlsafe(BYTES)
        with contextlib.suppress(FileExistsError):
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(f"{password}\n")
            return password, True
        return _checked(path), False  # another one was faster
    except OSError as error:
        raise HannerError(
            f"Flower's password cannot be kept in {path} ({error.strerror}); "
            f"name a file that can be read or written with {variable('flower_password_file')}"
        ) from None


def _checked(path: Path) -> str:
    password = path.read_text(encoding="utf-8").strip()
    if not password or "," in password:  # a comma would make two of it
        raise InvalidSettings(
            f"{path} has no password that Flower takes; write one line without a comma there, or remove the file"
        )
    return password
