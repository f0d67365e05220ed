"""The inputs of `hanner extract`: what its arguments mean. hanner.files reads them."""

import contextlib
import os
import stat
import sys
from collections.abc import Sequence
from glob import has_magic
from pathlib import Path

from hanner.cli.errors import UsageError
from hanner.files.sources import STDIN, expand


def decode_argument(text: str) -> str:
    """Return an argument of the command line; its bytes are decoded as UTF-8 if they are UTF-8, whatever the locale is.

    Terminals send UTF-8 also in the locales POSIX and Latin-1, with which Python decodes arguments.
    """
    if not text.isascii():
        with contextlib.suppress(UnicodeError):
            return os.fsencode(text).decode()
    return text


def choose_inputs(arguments: Sequence[str], files: Sequence[Path]) -> tuple[list[str], list[Path]]:
    """Return the texts and the files that are meant.

    With -f all arguments are files, as a shell writes them for `-f *.txt`. Without an argument, stdin is read if it is
    a pipe or a file.

    Args:
        arguments: The arguments; - is stdin.
        files: The values of -f.

    Raises:
        UsageError: nothing is given, or an argument beside -f is not a file.
        InvalidText: a pattern or a folder has no file.
    """
    texts = [decode_argument(argument) for argument in arguments]
    if files:
        more = [Path(argument) for argument in arguments]
        for path in more:
            if not _exists(path) and path != STDIN and not has_magic(str(path)):
                raise UsageError(f"{path} is not a file; with -f all arguments are files: send texts without -f")
        return [], expand([*files, *more], notify)
    for text in filter(_is_file, texts):
        notify(f"{text} is a file; to read it, use -f")
    sources = [STDIN] if "-" in texts or (not texts and _stdin_has_data()) else []
    texts = [text for text in texts if text != "-"]
    if sources and sys.stdin.isatty():
        notify("type or paste texts, one per line; press Ctrl-D to finish")
    if not texts and not sources:
        raise UsageError("no text was given; pass texts, -f FILE, or - for stdin")
    return texts, sources


def notify(message: str) -> None:
    """Print a sentence about the input to stderr."""
    print(f"hanner: {message}", file=sys.stderr)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # longer than the name of a file can be
        return False


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False


def _stdin_has_data() -> bool:
    """Return whether stdin is a pipe, a socket or a file: a terminal and /dev/null are not read without a -."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)
