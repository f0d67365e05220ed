"""Fetching with ModelScope's own client where the hub cannot be reached: one sentence, exit 2, nothing left."""

import subprocess
import sys


def test_without_a_network_nothing_is_half_written(tmp_path):
    command = [
        sys.executable,
        "-c",
        "from hanner_models.cli import app; app()",
        "fetch",
        "iic/some-model",
        "--out",
        "out",
    ]
    environment = {
        "MODELSCOPE_ENDPOINT": "http://localhost:9",
        "MODELSCOPE_CACHE": str(tmp_path / "cache"),
        "PATH": "/usr/bin",
    }
    (tmp_path / "work").mkdir()
    done = subprocess.run(
        command, cwd=tmp_path / "work", env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 2, done.stderr
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("hanner: ")
    assert "cannot be reached; connect to the network" in sentence
    assert list((tmp_path / "work").iterdir()) == []
    assert [file for file in (tmp_path / "cache").rglob("*") if file.is_file() and file.stat().st_size > 1000] == []
