"""The app that `celery -A nerq_worker` finds. Importing this module reads NERQ_*; nothing else in the package does."""

from nerq.errors import NerqError
from nerq.settings import Settings
from nerq_worker.app import make_worker_app

try:
    app = make_worker_app(Settings.from_env())
except NerqError as error:
    raise SystemExit(f"nerq: {error}") from None
