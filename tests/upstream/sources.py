"""Fetches the source distributions of the installed Celery and kombu, and unpacks the tests that they carry."""

import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".upstream"
"""Not in git: nothing of these projects is copied into the repository."""


def fetch(package):
    """Return a folder whose subfolder `t` has the tests of the installed version of a package."""
    name = f"{package}-{version(package)}"
    folder = CACHE / name
    if not folder.exists():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
            _unpack(_download(package, Path(temporary)), name, Path(temporary) / "unpacked")
            (Path(temporary) / "unpacked").rename(folder)
    return folder


def _download(package, folder):
    requirement = f"{package}=={version(package)}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", package, requirement]
    subprocess.run(pip, cwd=folder, check=True)
    (archive,) = folder.glob("*.tar.gz")
    return archive


def _unpack(archive, name, folder):
    """Unpack only the tests: the package itself must be the installed one."""
    with tarfile.open(archive) as tar:
        members = [member for member in tar if member.name.startswith(f"{name}/t/")]
        if not any(member.name.startswith(f"{name}/t/integration/") for member in members):
            raise SystemExit(f"{archive.name} has no integration tests")
        tar.extractall(folder, members, filter="data")
    shutil.move(folder / name / "t", folder / "t")
    (folder / name).rmdir()
