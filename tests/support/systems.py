"""Queue workers that run the same task: hanner's own, and those it is compared with."""

import sys
from dataclasses import dataclass
from pathlib import Path

BATCHES_PYTHON = Path(__file__).parents[2] / ".venv-batches" / "bin" / "python"
"""celery-batches needs a Celery older than hanner's: `make .venv-batches/bin/celery` makes its environment."""


@dataclass(frozen=True)
class System:
    """A queue worker under test.

    Attributes:
        name: what tables call it.
        app: the module of its Celery app.
        imports: modules that it imports before the app, to be there sooner.
        python: the Python that runs it.
    """

    name: str
    app: str
    imports: tuple[str, ...] = ()
    python: str = sys.executable


def hanner(app):
    """Return hanner's worker, with the model that a module of the tests gives it."""
    return System("hanner", app, ("hanner_worker.app", "hanner_worker.batching.strategy"))


CELERY = System("celery", "support.stock.plain")
CELERY_BATCHES = System("celery-batches", "support.stock.batches", ("celery_batches",), str(BATCHES_PYTHON))
