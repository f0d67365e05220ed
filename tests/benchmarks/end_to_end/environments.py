"""The peers' environments, one each, kept between runs.

    python -m benchmarks.end_to_end.environments [NAME ...]

makes those that are missing or out of date in `.bench/` of the repository, or in the folder HANNER_BENCH names. They
hold hanner's dependencies but not hanner: a peer runs the engine of the checkout that measures it, by PYTHONPATH.
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDER = Path(os.environ.get("HANNER_BENCH") or ROOT / ".bench")
READY = "ready.txt"
"""Lists what was installed; written last."""
PEERS = {
    "mosec": ("mosec>=0.9.8",),
    "litserve": ("litserve>=0.2.19",),
    "celery": (),
    "modelscope": (
        "flask>=3.1",
        "gunicorn>=23",
        "modelscope[framework]",
        "onnx>=1.17",
        "torch==2.13.0",
        "transformers>=4.57,<5",
    ),
}


def requirements(name: str) -> list[str]:
    """Return what the environment of a peer holds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return sorted([*PEERS[name], *project["dependencies"], *project["optional-dependencies"]["worker"]])


def python(name: str) -> Path | None:
    """Return the Python of a peer's environment; None when it is missing or was not completed."""
    path = FOLDER / name / "bin" / "python"
    return path if path.exists() and (FOLDER / name / READY).exists() else None


def version(name: str) -> str:
    """Return which version of a peer is installed; its environment must be there."""
    command = f"from importlib.metadata import version; print(version({name!r}))"
    return subprocess.run([python(name), "-c", command], check=True, capture_output=True, text=True).stdout.strip()


def make(name: str) -> None:
    """Make the environment of a peer, unless it is there with the same requirements."""
    wanted = requirements(name)
    ready = FOLDER / name / READY
    if ready.exists() and ready.read_text("utf-8").splitlines() == wanted:
        print(f"{name}: is there")
        return
    ready.unlink(missing_ok=True)
    subprocess.run([sys.executable, "-m", "venv", FOLDER / name], check=True)
    subprocess.run([FOLDER / name / "bin" / "python", "-m", "pip", "install", "--quiet", *wanted], check=True)
    ready.write_text("\n".join(wanted) + "\n", "utf-8")
    print(f"{name}: made")


if __name__ == "__main__":
    for each in sys.argv[1:] or PEERS:
        make(each)
