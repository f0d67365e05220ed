"""Run the Python blocks of the guides for frameworks unchanged, with a real Redis and a real worker with a fake model.

test_readme_code.py runs the other guides with the bundled model. The spaCy guide is tested in tests/spacy, in its own
environment, because spaCy is large.
"""

import os
import subprocess
import sys

import pytest

from support.markdown import ROOT, RUN_WITH_STACK, python_blocks
from support.servers import redis_server
from support.workers import worker

HOWTO = ROOT / "docs" / "how-to"
DEFAULT_URL = "redis://localhost:6379/0"

DRIVERS = {
    "django": """
import django, json
from django.conf import settings
settings.configure(ALLOWED_HOSTS=["testserver"], ROOT_URLCONF=__name__, SECRET_KEY="x", DEFAULT_CHARSET="utf-8")
django.setup()
from django.test import Client as Browser
from django.urls import path
urlpatterns = [path("entities", extract)]
answer = Browser().post("/entities", {"text": "昨天马云在杭州"})
assert answer.status_code == 200, answer.content
assert [e["text"] for e in answer.json()["entities"]] == ["马云"]
refused = Browser().post("/entities", {"text": "x" * 100_001})
assert (refused.status_code, refused.json()["code"]) == (400, "invalid_text")
ner.close()
""",
    "flask": """
browser = app.test_client()
answer = browser.post("/entities", json={"text": "昨天马云在杭州"})
assert answer.status_code == 200, answer.text
assert [(e["text"], e["start"]) for e in answer.json["entities"]] == [("马云", 2)]
refused = browser.post("/entities", json={"text": 5})
assert (refused.status_code, refused.json["code"]) == (400, "invalid_text")
ner.close()
""",
    "fastapi": """
from fastapi.testclient import TestClient
with TestClient(app) as browser:
    answer = browser.post("/entities", json={"text": "昨天马云在杭州"})
    assert answer.status_code == 200, answer.text
    assert [(e["text"], e["start"]) for e in answer.json()] == [("马云", 2)]
    refused = browser.post("/entities", json={"text": "x" * 100_001})
    assert refused.status_code == 400, refused.text
    assert "Entity" in browser.get("/openapi.json").text
""",
    "celery": """
import sys
assert not any(name.partition(".")[0].startswith("hanner") for name in sys.modules)
assert people("昨天马云在杭州") == ["马云"]
assert people_in_many(["马云", "没有"]) == [["马云"], []]
""",
    "pandas": """
assert list(articles["people"]) == [["马云"], [], []]
assert [error if isinstance(error, str) else None for error in articles["error"]] == [None, None, "invalid_text"]
assert entities.to_dict("records") == [{"row": 0, "text": "马云", "type": "PER", "start": 0, "end": 2, "score": 1.0}]
""",
}


def test_every_guide_with_code_is_tested():
    guides = {path for path in HOWTO.glob("*.md") if python_blocks(path)}
    run_here = {HOWTO / f"{name}.md" for name in DRIVERS.keys() | {"spacy"}}
    assert guides - {ROOT / name for name in RUN_WITH_STACK} == run_here


@pytest.fixture(scope="module")
def url():
    with redis_server() as server, worker(server.url, "-c", "1"):
        yield server.url


def write_code(name, url, path):
    path.write_text("\n".join(python_blocks(HOWTO / f"{name}.md")).replace(DEFAULT_URL, url), "utf-8")


@pytest.mark.parametrize("name", DRIVERS)
def test_guide_runs(name, url, tmp_path):
    # A file instead of -c, because frameworks look up the path of the module.
    program = tmp_path / "program.py"
    write_code(name, url, program)
    with program.open("a", encoding="utf-8") as file:
        file.write(DRIVERS[name])
    run(program, url=url)


def run(*command, url):
    ended = subprocess.run(
        [sys.executable, *command],
        env=os.environ | {"HANNER_BROKER_URL": url},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def test_steps_of_the_celery_guide_run_in_the_apps_own_worker(url, tmp_path):
    write_code("celery", url, tmp_path / "shop.py")
    index = (
        'import sys; sys.path.insert(0, sys.argv[1]); from shop import index; index(7, "昨天马云在杭州"); index(8, 8)'
    )
    options, env = ("--pool", "solo", "-Q", "shop,celery"), {"PYTHONPATH": str(tmp_path)}
    with worker(url, *options, app="shop", ready=False, env=env, cold=True) as own:
        run("-c", index, tmp_path, url=url)
        own.wait_for("article 7: ['马云']", timeout=60)
        own.wait_for("article 8 has no entities", timeout=60)
