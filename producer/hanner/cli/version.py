"""`hanner version`: what is installed."""

import platform
from importlib import metadata


def version() -> None:
    """Print the versions of hanner and of what it stands on."""
    print(f"hanner {metadata.version('hanner')}")
    print(f"python {platform.python_version()}")
    for name in ("celery", "kombu", "redis", "pydantic", "onnxruntime", "tokenizers"):
        try:
            print(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            print(f"{name} is not installed")
