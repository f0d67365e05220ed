"""The command line: the commands of this package, and those of plug-ins."""

import errno
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from hanner.cli import dead
from hanner.cli.bench import bench
from hanner.cli.demo import demo
from hanner.cli.doctor.command import doctor
from hanner.cli.errors import FAILURE, exit_code
from hanner.cli.extract import extract
from hanner.cli.plugins import PluginGroup, find_extra
from hanner.cli.status import status
from hanner.cli.up import up
from hanner.cli.version import print_version, version
from hanner.errors import HannerError
from hanner.utils.packaging import install_hint

OUTPUT_ERRORS = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS}
"""Errors of a full disk, or of one that cannot be written."""
PERMISSION_ERRORS = {errno.EACCES, errno.EPERM}

app = typer.Typer(
    cls=PluginGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich doubles the time of --help
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Chinese named-entity recognition from a queue.",
)


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", "-V", is_eager=True, callback=print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Chinese named-entity recognition from a queue."""
    del show_version


app.command()(up)
app.command()(demo)
app.command()(extract)
app.command()(status)
app.add_typer(dead.app, name="dead")
app.command()(doctor)
app.command()(bench)
app.command()(version)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; print an error as one sentence on stderr."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="hanner")
    except HannerError as error:
        print(f"hanner: {error}", file=sys.stderr)
        return exit_code(error)
    except ModuleNotFoundError as error:
        extra = find_extra(error.name)
        if extra is None:
            raise
        print(f"hanner: this command needs {error.name}: {install_hint(extra)}", file=sys.stderr)
        return FAILURE
    except OSError as error:
        if error.errno in OUTPUT_ERRORS:
            problem = f"{error.filename or 'the output'} cannot be written: {error.strerror}"
        elif error.errno in PERMISSION_ERRORS and error.filename:
            problem = (
                f"{error.filename} cannot be used: {error.strerror}; change its permissions, or choose another one"
            )
        else:
            raise
        print(f"hanner: {problem}", file=sys.stderr)
        return FAILURE
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
