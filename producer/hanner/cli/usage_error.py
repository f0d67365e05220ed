"""The error of a command that was asked for in a wrong way: exit code 2, where other errors have 1."""

from hanner.errors import HannerError


class Misused(HannerError):
    """The command cannot be run like this; see its --help."""
