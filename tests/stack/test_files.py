"""The files of the stack, without an engine: what linters and Compose say of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.docker_stack import ROOT, compose_commands, run

FILES = (("compose.yaml",), ("compose.yaml", "redis-port.yaml"))


@pytest.mark.parametrize("files", FILES, ids=" and ".join)
@pytest.mark.parametrize("compose", compose_commands(), ids=" ".join)
def test_compose_takes_the_files(compose, files):
    arguments = [part for name in files for part in ("-f", str(ROOT / "compose" / name))]
    done = run(*compose, *arguments, "--profile", "monitoring", "config")
    assert "WARN" not in done.stderr.upper()
    assert "127.0.0.1" in done.stdout


@pytest.mark.parametrize("compose", compose_commands(), ids=" ".join)
def test_the_example_of_settings_is_what_holds_without_it(compose, tmp_path):
    """Every line of .env.example, with its # taken away, names something that compose.yaml reads, with its default."""
    example = [line[1:] for line in (ROOT / "compose/.env.example").read_text().splitlines() if line[1:2].isupper()]
    settings = dict(line.split("=", 1) for line in example if line.split("=", 1)[0].isupper() or "_" in line)
    defaults = {name: value for name, value in settings.items() if not value.startswith("/models")}
    del defaults["COMPOSE_PROJECT_NAME"]
    files = ["-f", str(ROOT / "compose/compose.yaml"), "-f", str(ROOT / "compose/redis-port.yaml")]
    shown = [
        run(*compose, *files, "--profile", "monitoring", "config", env={"PATH": os.environ["PATH"], **given}).stdout
        for given in ({}, defaults)
    ]
    assert shown[0] == shown[1]


def test_hadolint_finds_nothing():
    hadolint = Path(sys.executable).with_name("hadolint")
    command = [hadolint, "--failure-threshold", "info", ROOT / "compose/Dockerfile"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
