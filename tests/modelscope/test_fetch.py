"""Downloading with ModelScope's own client while the hub is unreachable: one line, exit 2, no files."""

import subprocess
import sys


def test_offline_fetch_writes_nothing(tmp_path):
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
    (message,) = done.stderr.splitlines()
    assert message.startswith("hanner: ")
    assert "cannot be reached; check the network" in message
    assert list((tmp_path / "work").iterdir()) == []
    assert [file for file in (tmp_path / "cache").rglob("*") if file.is_file() and file.stat().st_size > 1000] == []
