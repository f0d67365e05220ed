"""Flower's password: read from a file, and generated on the first start. There is no default password."""

import contextlib
import os
import secrets
from pathlib import Path

from hanner.errors import HannerError, InvalidSettings
from hanner.settings import variable

USER = "hanner"
FILE = "flower-password"
RANDOM_BYTES = 18
"""Randomness of a generated password, which has 24 characters."""


def read_or_generate(path: Path) -> tuple[str, bool]:
    """Return the password in a file, and whether it was just generated; only its owner may read a generated file.

    Raises:
        InvalidSettings: the file contains no valid password.
        HannerError: the file can be neither read nor written.
    """
    try:
        with contextlib.suppress(FileNotFoundError):
            return _read(path), False
        path.parent.mkdir(parents=True, exist_ok=True)
        password = secrets.token_urlsafe(RANDOM_BYTES)
        with contextlib.suppress(FileExistsError):
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(f"{password}\n")
            return password, True
        return _read(path), False  # another process was faster
    except OSError as error:
        raise HannerError(
            f"Flower's password cannot be stored in {path} ({error.strerror}); "
            f"set a file that can be read or written with {variable('flower_password_file')}"
        ) from None


def _read(path: Path) -> str:
    password = path.read_text(encoding="utf-8").strip()
    if not password or "," in password:  # Flower splits its option at commas
        raise InvalidSettings(
            f"{path} has no password that Flower accepts; write one line without a comma to it, or remove the file"
        )
    return password
