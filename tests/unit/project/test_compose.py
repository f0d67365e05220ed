"""Passwords, settings and pins of the stack: the parts that can be tested without a Docker engine."""

import hashlib
import importlib.util
import re
import stat
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hanner.settings import Settings, variable

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "compose"
PINS = COMPOSE / "requirements"
FOLDERS = ("redis", "worker", "gateway", "flower", "app", "grafana")
FIXED = {"broker_url", "metrics_host", "metrics_port", "flower_password_file"}
"""Settings that compose.yaml sets itself."""


@pytest.fixture
def make():
    spec = importlib.util.spec_from_file_location("make_secrets", COMPOSE / "init" / "make_secrets.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make


@pytest.fixture
def root(tmp_path):
    for name in FOLDERS:
        (tmp_path / name).mkdir()
    return tmp_path


def test_user_list_has_a_digest_of_each_password(make, root):
    make(root, {})
    users = (root / "redis" / "users.acl").read_text()
    assert users.startswith("user default off ")
    passwords = set()
    for name in ("worker", "gateway", "flower", "app"):
        user, password = re.fullmatch(
            r"redis://(\w+):([\w-]{43})@redis:6379/0\n", (root / name / "broker-url").read_text()
        ).groups()
        assert user == name
        assert f"user {name} on resetpass #{hashlib.sha256(password.encode()).hexdigest()} " in users
        assert password not in users
        passwords.add(password)
    assert len(passwords) == 4


def test_second_run_keeps_passwords_and_rewrites_the_user_list(make, root):
    make(root, {})
    before = {path: path.read_text() for path in root.rglob("*") if path.is_file()}
    (root / "redis" / "users.acl").chmod(0o640)
    (root / "redis" / "users.acl").write_text("user default on nopass +@all")
    make(root, {"FLOWER_PASSWORD": ""})
    assert {path: path.read_text() for path in root.rglob("*") if path.is_file()} == before


def test_passwords_can_be_set_by_variables(make, root):
    make(root, {})
    make(root, {"FLOWER_PASSWORD": "mine", "GRAFANA_PASSWORD": "too"})
    assert (root / "flower" / "password").read_text() == "mine\n"
    assert (root / "grafana" / "admin-password").read_text() == "too\n"


def test_only_owner_and_group_can_read_secrets(make, root):
    make(root, {})
    modes = {stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*") if path.is_file()}
    assert modes == {0o440}


def test_stack_has_every_setting():
    compose = (COMPOSE / "compose.yaml").read_text()
    example = (COMPOSE / ".env.example").read_text()
    for name in Settings.model_fields.keys() - FIXED:
        assert f"{variable(name)}: ${{{variable(name)}:-" in compose, f"add {variable(name)} to compose.yaml"
        assert f"#{variable(name)}=" in example, f"add {variable(name)} to .env.example"


def test_every_service_is_locked_down():
    services = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        assert service["pids_limit"], name
        assert service["logging"]["options"], name
        assert all(port.startswith("${BIND:-127.0.0.1}:") for port in service.get("ports", ())), name
        assert "privileged" not in service, name
        if name != "init":
            assert service["healthcheck"]["test"], name
            assert service["stop_grace_period"], name


def test_every_image_has_a_version_tag():
    text = (COMPOSE / "compose.yaml").read_text() + (COMPOSE / "Dockerfile").read_text()
    images = re.findall(r"(?:image: \$\{\w+:-|ARG PYTHON_IMAGE=)([^}\n]+)", text)
    assert len(images) >= 7
    ours = {image for image in images if image.startswith("hanner-")}
    assert all(re.search(r":v?\d+\.\d+", image) for image in set(images) - ours), images


def pinned(path):
    """Return version and hashes of each pinned package."""
    text = path.read_text().replace("\\\n", " ")
    rows = [line.split() for line in text.splitlines() if line and line[0] not in " #"]
    return {row[0].partition("==")[0]: (row[0].partition("==")[2], frozenset(row[1:])) for row in rows}


@pytest.mark.parametrize("name", ["worker", "gateway", "flower", "models"])
def test_pins_of_an_image_match_the_lock(name):
    lock, pins = pinned(ROOT / "requirements.lock"), pinned(PINS / f"{name}.txt")
    assert pins.items() <= lock.items()
    assert all(version and hashes for version, hashes in pins.values())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in project["dependencies"] + project["optional-dependencies"][name]:
        wanted = Requirement(line)
        if wanted.name in {"hanner", "torch"}:
            continue
        version, _ = pins[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version), f"{line}: run make lock"


def test_pins_contain_no_package_index():
    for path in [ROOT / "requirements.lock", *PINS.glob("*.txt")]:
        assert not re.search(r"://|--(extra-)?index-url|--find-links", path.read_text()), path
