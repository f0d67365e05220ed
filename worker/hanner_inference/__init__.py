"""From text to entities in this process, without a queue: `load().extract(texts)`. Never imports torch.

Names are imported on first use, so that importing a small module of this package is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hanner.utils.packaging import install_hint

if TYPE_CHECKING:
    from hanner_inference.dictionary.parser import DictionaryError
    from hanner_inference.loading import load
    from hanner_inference.package import ModelPackage, ModelPackageError, open_package
    from hanner_inference.pipeline import Recogniser, RunStats

__all__ = [
    "DictionaryError",
    "ModelPackage",
    "ModelPackageError",
    "Recogniser",
    "RunStats",
    "load",
    "open_package",
]

_MODULES = {
    "DictionaryError": "dictionary.parser",
    "ModelPackage": "package",
    "ModelPackageError": "package",
    "Recogniser": "pipeline",
    "RunStats": "pipeline",
    "load": "loading",
    "open_package": "package",
}
_LIBRARIES = {"marisa_trie", "numpy", "onnxruntime", "safetensors", "tokenizers"}
"""What the extra `worker` installs."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _LIBRARIES:
            raise
        reason = f"{error.name} is not installed: {install_hint('worker')}"
        raise ModuleNotFoundError(reason, name=error.name) from None
