"""Chinese named-entity recognition from a queue: the client.

from nerq import Client

with Client() as ner:
    ner.extract("马云在杭州阿里巴巴总部发表演讲")
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nerq.aio import AsyncClient, AsyncJob
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
        WorkerLost,
    )
    from nerq.jobs import Job
    from nerq.settings import Settings

    __version__: str

_HOMES = {
    "AsyncClient": "aio",
    "AsyncJob": "aio",
    "BrokerUnreachable": "errors",
    "Client": "client",
    "Document": "contract",
    "Entity": "contract",
    "ErrorCode": "contract",
    "Expired": "errors",
    "Failure": "contract",
    "InvalidSettings": "errors",
    "InvalidText": "errors",
    "Job": "jobs",
    "ModelFailed": "errors",
    "NerqError": "errors",
    "QueueFull": "errors",
    "Revoked": "errors",
    "Settings": "settings",
    "TimedOut": "errors",
    "WorkerLost": "errors",
}

__all__ = [*_HOMES, "__version__"]  # noqa: PLE0604 - names all the same


def __getattr__(name: str) -> Any:
    """Import a name when it is asked for: worker and command line use single modules, and Celery takes its time."""
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("nerq")
    if name not in _HOMES:
        raise AttributeError(f"module 'nerq' has no attribute {name!r}")
    return getattr(importlib.import_module(f"nerq.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
