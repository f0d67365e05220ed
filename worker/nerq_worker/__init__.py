"""What runs in the queue worker, and in a notebook without a queue: `load().extract(texts)`. Never imports torch.

Nothing is imported before it is used, so that importing a small module of this package stays cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nerq_worker.loading import load
    from nerq_worker.pipeline import Recogniser, RunStats
    from nerq_worker.store import ModelPackage, ModelPackageError, open_package

__all__ = ["ModelPackage", "ModelPackageError", "Recogniser", "RunStats", "load", "open_package"]

_HOMES = {
    "ModelPackage": "store",
    "ModelPackageError": "store",
    "Recogniser": "pipeline",
    "RunStats": "pipeline",
    "load": "loading",
    "open_package": "store",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
