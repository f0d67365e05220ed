"""Fixtures that all test folders share."""

import pytest

from support.packages import write_tiny_package


@pytest.fixture(scope="session")
def tiny_package(tmp_path_factory):
    """Return the folder of a small model package with random weights. Tests must not change it."""
    return write_tiny_package(tmp_path_factory.mktemp("models") / "tiny")
