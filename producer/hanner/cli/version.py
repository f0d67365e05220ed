"""`hanner version`: prints the versions of hanner and its dependencies."""

import platform
from importlib import metadata

import typer

PACKAGES = ("celery", "kombu", "redis", "pydantic", "onnxruntime", "tokenizers")


def print_version(wanted: bool) -> None:
    """Print hanner's version and exit, if it is wanted."""
    if wanted:
        print(f"hanner {metadata.version('hanner')}")
        raise typer.Exit


def version() -> None:
    """Print the versions of hanner and its dependencies."""
    print(f"hanner {metadata.version('hanner')}")
    print(f"python {platform.python_version()}")
    for name in PACKAGES:
        try:
            print(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            print(f"{name} is not installed")
