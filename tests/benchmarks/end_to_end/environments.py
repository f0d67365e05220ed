"""Create the virtual environments of the peers.

    python -m benchmarks.end_to_end.environments [NAME ...]

creates environments that are missing or outdated in `.bench/` of the repository, or in the folder HANNER_BENCH. They
contain hanner's dependencies but not hanner: peers import the engine of this checkout through PYTHONPATH.
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDER = Path(os.environ.get("HANNER_BENCH") or ROOT / ".bench")
READY = "ready.txt"
"""Lists the installed requirements; written last."""
PEERS = {
    "mosec": ("mosec>=0.9.8",),
    "litserve": ("litserve>=0.2.19",),
    "triton": ("nvidia-pytriton>=0.7",),
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
    """Return the requirements of a peer's environment."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return sorted([*PEERS[name], *project["dependencies"], *project["optional-dependencies"]["worker"]])


def python(name: str) -> Path | None:
    """Return the Python of a peer's environment, or None if it is missing or incomplete."""
    path = FOLDER / name / "bin" / "python"
    return path if path.exists() and (FOLDER / name / READY).exists() else None


def version(name: str) -> str:
    """Return the installed version of a peer; its environment must exist."""
    package = "nvidia-pytriton" if name == "triton" else name
    command = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([python(name), "-c", command], check=True, capture_output=True, text=True).stdout.strip()


def create(name: str) -> None:
    """Create the environment of a peer, unless it exists with the same requirements."""
    needed = requirements(name)
    ready = FOLDER / name / READY
    if ready.exists() and ready.read_text("utf-8").splitlines() == needed:
        print(f"{name}: up to date")
        return
    ready.unlink(missing_ok=True)
    subprocess.run([sys.executable, "-m", "venv", FOLDER / name], check=True)
    subprocess.run([FOLDER / name / "bin" / "python", "-m", "pip", "install", "--quiet", *needed], check=True)
    ready.write_text("\n".join(needed) + "\n", "utf-8")
    print(f"{name}: created")


if __name__ == "__main__":
    for each in sys.argv[1:] or PEERS:
        create(each)
