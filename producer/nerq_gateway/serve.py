"""The app that uvicorn runs. Importing this module reads NERQ_*; nothing else in the package does."""

from nerq.settings import Settings
from nerq_gateway.app import make_app

app = make_app(Settings.from_env())
