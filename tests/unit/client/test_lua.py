"""Lua scripts are loaded from the files of their packages."""

import hashlib

import pytest

from hanner.utils.lua import load_script


def test_script_has_the_digest_that_redis_computes():
    script = load_script("hanner.queue", "backlog")
    assert hashlib.sha1(script.script).hexdigest() == script.sha


def test_missing_script_is_an_error():
    with pytest.raises(FileNotFoundError):
        load_script("hanner.queue", "missing")


def test_files_are_joined_in_order():
    joined = load_script("hanner_worker.delivery.scripts", "common", "fetch").script
    parts = [load_script("hanner_worker.delivery.scripts", name).script for name in ("common", "fetch")]
    assert joined == b"".join(parts)
