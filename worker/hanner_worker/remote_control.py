"""The remote-control command `hanner_about`: version, model and settings of a worker, for `hanner doctor`."""

import time
from importlib import metadata
from typing import Any

from celery.worker.control import inspect_command

from hanner_worker.context import get_context, has_context

TOLD = ("queue", "max_text_chars", "result_ttl", "engine", "batch_texts", "batch_tokens")


@inspect_command()  # type: ignore[untyped-decorator]
def hanner_about(state: Any) -> dict[str, Any]:
    """Tell version, model, clock, and the settings that matter to clients."""
    pool = getattr(state.consumer, "pool", None)
    told: dict[str, Any] = {
        "version": metadata.version("hanner"),
        "now": time.time(),
        "processes": getattr(pool, "num_processes", None),
    }
    if has_context():
        settings = get_context().settings
        told |= {"model": get_context().model, **{name: getattr(settings, name) for name in TOLD}}
    return told
