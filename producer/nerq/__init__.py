"""Chinese named-entity recognition from a queue: the client.

from nerq import Client

with Client() as ner:
    ner.extract("马云在杭州阿里巴巴总部发表演讲")
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nerq.aio import AsyncClient, AsyncJob
    from nerq.backlog import Backlog, WorkerState
    from nerq.client import Client
    from nerq.contract import Document, Entity, ErrorCode, Failure
    from nerq.errors import (
        BrokerUnreachable,
        Expired,
        InvalidSettings,
        InvalidText,
        ModelFailed,
        NerqError,
        QueueFull,
        Revoked,
        TimedOut,
        UnknownModel,
        WorkerLost,
    )
    from nerq.jobs import Job
    from nerq.settings import Settings

    __version__: str

__all__ = [
    "AsyncClient",
    "AsyncJob",
    "Backlog",
    "BrokerUnreachable",
    "Client",
    "Document",
    "Entity",
    "ErrorCode",
    "Expired",
    "Failure",
    "InvalidSettings",
    "InvalidText",
    "Job",
    "ModelFailed",
    "NerqError",
    "QueueFull",
    "Revoked",
    "Settings",
    "TimedOut",
    "UnknownModel",
    "WorkerLost",
    "WorkerState",
    "__version__",
]

_HOMES = {
    "aio": ("AsyncClient", "AsyncJob"),
    "backlog": ("Backlog", "WorkerState"),
    "client": ("Client",),
    "contract": ("Document", "Entity", "ErrorCode", "Failure"),
    "jobs": ("Job",),
    "settings": ("Settings",),
}


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for: worker and command line use single modules, and Celery takes its time."""
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("nerq")
    if name not in __all__:
        raise AttributeError(f"module 'nerq' has no attribute {name!r}")
    home = next((module for module, names in _HOMES.items() if name in names), "errors")
    return getattr(importlib.import_module(f"nerq.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
