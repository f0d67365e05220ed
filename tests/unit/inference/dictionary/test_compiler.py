"""The process that compiles a dictionary."""

import subprocess
import sys

SLOW = {"celery", "numpy", "onnxruntime", "pydantic"}


def test_compilation_imports_no_slow_library():
    code = f"import sys, hanner_inference.dictionary.compiler; print({SLOW!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
