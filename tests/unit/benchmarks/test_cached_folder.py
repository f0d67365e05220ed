"""Packages for benchmarks are written once, also by several processes at the same time."""

import pytest

from support.base_package import cached_folder


def write(text, before=lambda: None):
    def write_folder(folder):
        before()
        folder.mkdir()
        (folder / "file").write_text(text)

    return write_folder


def read(folder):
    return [(path.name, path.read_text()) for path in folder.iterdir()]


def test_folder_is_written_once(tmp_path):
    folder = tmp_path / "cache" / "package"
    assert read(cached_folder(folder, write("first"))) == [("file", "first")]
    assert read(cached_folder(folder, write("second"))) == [("file", "first")]
    assert list(folder.parent.iterdir()) == [folder]


def test_folder_that_another_process_wrote_meanwhile_is_kept(tmp_path):
    folder = tmp_path / "package"
    slow = write("slow", before=lambda: cached_folder(folder, write("fast")))
    assert read(cached_folder(folder, slow)) == [("file", "fast")]
    assert list(tmp_path.iterdir()) == [folder]


def test_failed_write_leaves_nothing(tmp_path):
    def fail(folder):
        folder.mkdir()
        raise RuntimeError("no space")

    with pytest.raises(RuntimeError, match="no space"):
        cached_folder(tmp_path / "package", fail)
    assert not list(tmp_path.iterdir())
