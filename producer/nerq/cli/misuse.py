"""The error of a command that was asked for in a wrong way: exit code 2, where other errors have 1."""

from nerq.errors import NerqError


class Misused(NerqError):
    """The command cannot be run like this; see its --help."""
