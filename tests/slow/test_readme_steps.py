"""A new user follows the README: clone, `make up`, and first answers by Client, Celery, curl and shell, each pasted."""

import json
import os
import shutil
import socket
import subprocess
import sys

import pytest

from hanner.cli import demo_texts
from support import follow_readme
from support.markdown import ROOT

PORTS = (6379, 8080)
NAMESPACE = ("unshare", "--map-root-user", "--net")


def has_namespaces():
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


def in_use(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """Return what each step printed."""
    folder = tmp_path_factory.mktemp("user")
    clone = folder / "hanner"
    isolated = has_namespaces()
    if not isolated and any(map(in_use, PORTS)):
        pytest.skip(f"one of the ports {PORTS} is in use, and there are no network namespaces")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HANNER_", "XDG_"))}
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    subprocess.run(["make", f"PYTHON={sys.executable}", ".venv/.demo"], cwd=clone, env=environment, check=True)
    command = [sys.executable, follow_readme.__file__, str(clone)]
    ended = subprocess.run(
        [*NAMESPACE, *command, "--namespace"] if isolated else command,
        env=environment | {"HOME": str(folder)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=600,
        check=True,
    )
    return json.loads(ended.stdout)


@pytest.mark.timeout(1800)
def test_stack_starts_and_every_step_succeeds(followed):
    failed = {name: step for name, step in followed.items() if step["code"]}
    assert not failed
    assert {"up", "client", "celery", "curl", "article", "shell", "banner"} <= followed.keys()


def test_every_way_gives_the_same_entities(followed):
    expected = [tuple(entity) for entity in demo_texts.EXPECTED]
    lines = followed["client"]["out"].splitlines()[: len(expected)]
    assert [(t, k, int(s), int(e)) for t, k, s, e, _ in map(str.split, lines)] == expected
    for name in ("curl", "article", "shell"):
        entities = json.loads(followed[name]["out"])["entities"]
        assert [(e["text"], e["type"], e["start"], e["end"]) for e in entities] == expected
    assert all(f"'text': '{text}'" in followed["celery"]["out"] for text, *_ in expected)


def test_printed_lines_can_be_pasted_in_any_folder(followed):
    answers = [json.loads(line) for line in followed["banner"]["out"].splitlines()]
    assert [[entity["text"] for entity in answer["entities"]] for answer in answers] == [
        [text for text, *_ in demo_texts.EXPECTED]
    ] * 2
    assert "address\tredis://127.0.0.1:6379/0, of the running `hanner up`" in followed["doctor"]["out"]
