"""The command `celery -A hanner_worker …`: only its arguments and HANNER_ variables configure it."""

import sys

import click
from click.core import ParameterSource

from hanner.errors import InvalidSettings

REPLACED_OPTIONS = {
    "broker": "set HANNER_BROKER_URL",
    "result_backend": "results are in the Redis of HANNER_BROKER_URL",
    "loader": "hanner has its own loader",
    "config": "set HANNER_ variables",
}
"""Options of Celery that have no effect on hanner's app, with the next step."""


def isolate_command() -> None:
    """Make a `celery` command that runs in this process ignore variables of the program that started it.

    Celery reads each option of each command from a variable too, such as CELERY_WORKER_POOL. It reads those of the
    command itself after it has imported the app.

    Raises:
        InvalidSettings: the command line has an option that would have no effect.
    """
    module, context = sys.modules.get("celery.bin.celery"), click.get_current_context(silent=True)
    if module is None or context is None or context.find_root().command is not module.celery:
        return  # imported by another program
    root = context.find_root()
    root.auto_envvar_prefix = None
    for name, fix in REPLACED_OPTIONS.items():
        if root.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise InvalidSettings(f"Celery's option --{name.replace('_', '-')} has no effect on hanner; {fix}")
