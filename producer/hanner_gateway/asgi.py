"""The ASGI app that uvicorn imports. Reads HANNER_* and OTEL_* at import; no other module of the package does."""

import multiprocessing
import os

from hanner.settings import Settings
from hanner.utils import tracing
from hanner.utils.processes import end_with_parent
from hanner_gateway.app import make_app

if (parent := multiprocessing.parent_process()) is not None and parent.pid is not None:
    end_with_parent(parent.pid)  # uvicorn's worker processes would survive if uvicorn were killed
app = make_app(Settings.from_env(), tracing.make_provider("hanner-gateway", os.environ))
