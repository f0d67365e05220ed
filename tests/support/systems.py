"""Queue workers that run the same task: hanner's, plain Celery's and celery-batches'."""

import sys
from dataclasses import dataclass
from pathlib import Path

BATCHES_PYTHON = Path(__file__).parents[2] / ".venv-batches" / "bin" / "python"
"""celery-batches needs an older Celery than hanner: `make .venv-batches/bin/celery` creates its environment."""


@dataclass(frozen=True)
class System:
    """A queue worker under test.

    Attributes:
        name: Its name in tables.
        app: The module of its Celery app.
        imports: Modules to import before the app, so that it starts faster.
        python: The Python interpreter that runs it.
    """

    name: str
    app: str
    imports: tuple[str, ...] = ()
    python: str = sys.executable


def hanner(app):
    """Return hanner's worker with the app in this module of the tests."""
    return System("hanner", app, ("hanner_worker.app", "hanner_worker.batching.strategy"))


CELERY = System("celery", "support.stock.plain")
CELERY_BATCHES = System("celery-batches", "support.stock.batches", ("celery_batches",), str(BATCHES_PYTHON))
