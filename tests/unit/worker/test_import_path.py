"""The working folder is left out of `sys.path` only where Celery has put it."""

import sys

import pytest

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
