"""`python -P -m hanner_worker`: Celery's worker with hanner's app, as `celery -A hanner_worker worker` starts it.

Celery's other commands and their plugins, such as Flower and a prompt, are not imported; that is a sixth of the start.
Variables that set options of Celery's commands have no effect. Celery is imported while a thread loads the model.
"""

import gc
import os
import sys
from typing import TYPE_CHECKING

from hanner.errors import HannerError
from hanner.settings import Settings
from hanner_worker import early_loading

if TYPE_CHECKING:
    from celery import Celery


def main() -> None:
    """Run Celery's worker with the arguments of the command line, and exit."""
    arguments = sys.argv[1:]
    sys.argv = ["-P", "-m", "hanner_worker", *arguments]  # a restart by SIGHUP executes [sys.executable, *sys.argv]
    gc.disable()  # until the model is loaded: objects that imports create are not garbage
    try:
        settings = Settings.from_env()
        early_loading.start(settings, arguments)
        if len(settings.per_address()) > 1:
            from hanner_worker.group import run_and_exit, start_group  # noqa: PLC0415 - rarely needed

            app = start_group(settings)
            run_and_exit(lambda: _run(app, arguments))
    except HannerError as error:
        raise SystemExit(f"hanner: {error}") from None
    from hanner_worker.celery import app  # noqa: PLC0415 - it reads the settings when it is imported

    _run(app, arguments)


def _run(app: "Celery", arguments: list[str]) -> None:
    from celery.bin.base import CLIContext  # noqa: PLC0415 - imported while the model is loaded
    from celery.bin.worker import worker  # noqa: PLC0415

    context = CLIContext(app=app, no_color=bool(os.environ.get("NO_COLOR")), workdir=None)
    worker.main(args=arguments, prog_name="python -m hanner_worker", obj=context)


if __name__ == "__main__":
    main()
