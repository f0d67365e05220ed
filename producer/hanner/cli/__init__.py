"""The `hanner` command. Without the extra `cli` it says how to get it; each command has a file of its own here."""

import sys

from hanner.utils.packaging import install_hint


def main() -> None:
    """Run the command line and exit: 0 done, 1 it failed, 2 it was asked for in a wrong way."""
    try:
        import typer  # noqa: F401, PLC0415 - an extra
    except ImportError:
        print(f"hanner's command line is an extra: {install_hint('cli')}", file=sys.stderr)
        sys.exit(2)
    from hanner.cli.app import run  # noqa: PLC0415

    sys.exit(run())
