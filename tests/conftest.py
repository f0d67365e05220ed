"""Fixtures of all rings."""

import pytest

from support.packages import write_tiny_package


@pytest.fixture(scope="session")
def tiny_package(tmp_path_factory):
    """Folder of a small model package with random weights; read it, never change it."""
    return write_tiny_package(tmp_path_factory.mktemp("models") / "tiny")
