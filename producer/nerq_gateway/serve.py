"""The app that uvicorn runs. Importing this module reads NERQ_* and OTEL_*; nothing else in the package does."""

import os

from nerq import tracing
from nerq.settings import Settings
from nerq_gateway.app import make_app

app = make_app(Settings.from_env(), tracing.provider("nerq-gateway", os.environ))
