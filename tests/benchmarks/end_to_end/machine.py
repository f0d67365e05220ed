"""The machine on which a section was measured."""

import platform
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks.end_to_end.plan import cores
from hanner.cli.local_redis import find_server

FLAGS = ("avx2", "avx512_vnni", "avx_vnni", "amx_int8")
LOAD_SECONDS = 2.0
"""Duration of the measurement of other load, before anything is started."""
PACKAGES = ("celery", "redis", "onnxruntime", "tokenizers", "numpy")


def describe() -> dict:
    """Return properties of the machine that affect results, and the load of other programs, without its name."""
    info = Path("/proc/cpuinfo").read_text("utf-8") if Path("/proc/cpuinfo").exists() else ""
    facts = dict(line.split(":", 1) for line in info.split("\n\n", 1)[0].splitlines() if ":" in line)
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    flags = facts.get("flags", "").split()
    return {
        "processor": facts.get("model name", platform.processor() or platform.machine()),
        "cores": cores(),
        "instructions": [flag for flag in FLAGS if flag in flags],
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "server": Path(find_server()).name,
        "packages": {name: version(name) for name in PACKAGES},
        "busy_before": round(psutil.cpu_percent(interval=LOAD_SECONDS) / 100, 3),
    }
