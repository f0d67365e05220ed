"""Exit codes of the command line, and the error of a wrong usage."""

from hanner.errors import HannerError, InvalidSettings, InvalidText, UnknownModel

FAILURE = 1
WRONG_USAGE = 2
INTERRUPTED = 130


class UsageError(HannerError):
    """The arguments of a command are wrong; see its --help."""


def exit_code(error: HannerError) -> int:
    """Return 2 for an error in what the user passed, else 1."""
    return WRONG_USAGE if isinstance(error, InvalidSettings | InvalidText | UnknownModel | UsageError) else FAILURE
