"""The working folder is left out of `sys.path` only where Celery has put it."""

import os
import subprocess
import sys

import pytest

from hanner.cli.local_stack import worker_command
from hanner_worker import import_path
from hanner_worker.import_path import without_working_folder


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), "other"])
    return tmp_path


def test_the_working_folder_is_removed_for_the_block(in_folder):
    with without_working_folder():
        assert sys.path == ["other"]
    assert sys.path == [str(in_folder), "other"]


def test_other_entries_stay(in_folder):
    sys.path.insert(0, "scripts")
    with without_working_folder():
        assert sys.path == ["scripts", str(in_folder), "other"]


def test_a_working_folder_that_hanner_is_installed_in_stays(in_folder, monkeypatch):
    monkeypatch.setattr(import_path, "PACKAGES", in_folder)
    with without_working_folder():
        assert sys.path == [str(in_folder), "other"]


def test_a_working_folder_that_was_deleted(in_folder):
    in_folder.rmdir()
    with without_working_folder():
        assert sys.path == [str(in_folder), "other"]


def test_the_worker_imports_none_of_celerys_other_commands():
    """They include Flower and a prompt."""
    environment = os.environ | {"HANNER_BROKER_URL": "redis://localhost/0"}
    command = [sys.executable, "-P", "-X", "importtime", "-m", "hanner_worker", "--help"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    modules = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "celery.bin.worker" in modules
    assert "onnxruntime" not in modules  # to print the help, no model is loaded
    assert not modules & {"celery.bin.celery", "flower", "tornado", "click_repl", "prompt_toolkit"}


def test_celerys_own_command_starts_a_worker_that_detaches():
    assert worker_command("name", "-l", "INFO")[2:4] == ["-m", "hanner_worker"]
    for option in ("-D", "--detach"):
        command = worker_command("name", option)
        assert command[2:] == [
            "-m", "celery", "-A", "hanner_worker", "worker", "-n", "name", "-E", "--without-gossip", option,
        ]  # fmt: skip
