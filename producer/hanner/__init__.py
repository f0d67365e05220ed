"""Chinese named-entity recognition through a queue: the client.

from hanner import Client

with Client() as ner:
    ner.extract("马云在杭州阿里巴巴总部发表演讲")
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hanner.aio.client import AsyncClient, AsyncJob
    from hanner.client import Client
    from hanner.contract import ErrorCode
    from hanner.errors import (
        BrokerUnreachable,
        Expired,
        HannerError,
        InvalidSettings,
        InvalidText,
        ModelFailed,
        QueueFull,
        Revoked,
        TimedOut,
        UnknownModel,
        WorkerLost,
    )
    from hanner.jobs import Job
    from hanner.queue.stats import Backlog, WorkerState
    from hanner.results import Document, Entity, EntityList, Failure
    from hanner.settings import Settings

    __version__: str

__all__ = [
    "AsyncClient",
    "AsyncJob",
    "Backlog",
    "BrokerUnreachable",
    "Client",
    "Document",
    "Entity",
    "EntityList",
    "ErrorCode",
    "Expired",
    "Failure",
    "HannerError",
    "InvalidSettings",
    "InvalidText",
    "Job",
    "ModelFailed",
    "QueueFull",
    "Revoked",
    "Settings",
    "TimedOut",
    "UnknownModel",
    "WorkerLost",
    "WorkerState",
    "__version__",
]

_MODULES = {
    "aio.client": ("AsyncClient", "AsyncJob"),
    "queue.stats": ("Backlog", "WorkerState"),
    "client": ("Client",),
    "contract": ("ErrorCode",),
    "results": ("Document", "Entity", "EntityList", "Failure"),
    "jobs": ("Job",),
    "settings": ("Settings",),
}


def __getattr__(name: str) -> Any:
    """Import a name on first use: worker and command line need single modules only, and importing Celery is slow."""
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("hanner")
    if name not in __all__:
        raise AttributeError(f"module 'hanner' has no attribute {name!r}")
    module = next((module for module, names in _MODULES.items() if name in names), "errors")
    return getattr(importlib.import_module(f"hanner.{module}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
