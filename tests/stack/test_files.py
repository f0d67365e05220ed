"""Linters and Compose accept the files of the stack; no engine needed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.docker_stack import ROOT, compose_commands, run

FILES = (("compose.yaml",), ("compose.yaml", "redis-port.yaml"), ("compose.yaml", "own-redis.yaml"))
PROFILES = [part for name in ("monitoring", "second-model", "models", "admin") for part in ("--profile", name)]


@pytest.mark.parametrize("files", FILES, ids=" and ".join)
@pytest.mark.parametrize("compose", compose_commands(), ids=" ".join)
def test_compose_accepts_the_files(compose, files):
    arguments = [part for name in files for part in ("-f", str(ROOT / "compose" / name))]
    done = run(*compose, *arguments, *PROFILES, "config")
    assert "WARN" not in done.stderr.upper()
    assert "127.0.0.1" in done.stdout


@pytest.mark.parametrize("compose", compose_commands(), ids=" ".join)
def test_env_example_contains_the_defaults(compose, tmp_path):
    """Every uncommented line of .env.example is a variable of compose.yaml with its default."""
    example = [line[1:] for line in (ROOT / "compose/.env.example").read_text().splitlines() if line[1:2].isupper()]
    settings = dict(line.split("=", 1) for line in example if line.split("=", 1)[0].isupper() or "_" in line)
    defaults = {name: value for name, value in settings.items() if not value.startswith("/models")}
    del defaults["COMPOSE_PROJECT_NAME"]
    files = ["-f", str(ROOT / "compose/compose.yaml"), "-f", str(ROOT / "compose/redis-port.yaml")]
    # HOME and DOCKER_CONFIG: where Docker looks for the plugin Compose. Other variables could be settings.
    base = {name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_CONFIG") if name in os.environ}
    configs = [run(*compose, *files, *PROFILES, "config", env=base | given).stdout for given in ({}, defaults)]
    assert configs[0] == configs[1]


def test_hadolint_reports_nothing():
    hadolint = Path(sys.executable).with_name("hadolint")
    command = [hadolint, "--failure-threshold", "info", ROOT / "compose/Dockerfile"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
