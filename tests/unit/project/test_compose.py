"""Passwords, settings and pins of the stack: the parts that can be tested without a Docker engine."""

import hashlib
import io
import os
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hanner.settings import Settings, variable
from support.stack_redis import make_secrets, secrets_folder

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "compose"
PINS = COMPOSE / "requirements"
FIXED = {"broker_url", "metrics_host", "metrics_port", "flower_password_file"}
"""Settings that compose.yaml sets itself."""


@pytest.fixture
def make():
    return make_secrets().make


@pytest.fixture
def main(root, monkeypatch):
    """Return the command line of make_secrets.py, with standard input as a keyword."""

    def run(*arguments, stdin=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        return make_secrets().main(root, *arguments)

    return run


@pytest.fixture
def root(tmp_path):
    return secrets_folder(tmp_path)


def test_user_list_has_a_digest_of_each_password(make, root):
    make(root, {})
    users = (root / "redis" / "users.acl").read_text()
    # Redis before 8.6 loads its append-only file as this user, who therefore needs every permission.
    assert users.splitlines()[0] == "user default off resetpass ~* &* +@all"
    passwords = set()
    for name in ("worker", "gateway", "flower", "app", "admin"):
        user, password = re.fullmatch(
            r"redis://(\w+):([\w-]{43})@redis:6379/0\n", (root / name / "broker-url").read_text()
        ).groups()
        assert user == name
        assert f"user {name} on resetpass #{hashlib.sha256(password.encode()).hexdigest()} " in users
        assert password not in users
        passwords.add(password)
    assert len(passwords) == 5


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


def digests(root, user):
    """Return the digests of the passwords that Redis accepts for a user."""
    (line,) = [
        one for one in (root / "redis" / "users.acl").read_text().splitlines() if one.startswith(f"user {user} ")
    ]
    return set(re.findall(r"#([0-9a-f]{64})", line))


def digest_of(url):
    return hashlib.sha256(url.strip().split(":")[2].partition("@")[0].encode()).hexdigest()


def test_renewed_password_and_the_previous_one_are_valid_until_the_next_start(main, root):
    assert main() == 0
    before = {user: (root / user / "broker-url").read_text() for user in ("worker", "admin", "app")}
    assert main("renew", "worker", "admin") == 0
    after = {user: (root / user / "broker-url").read_text() for user in before}
    assert after["app"] == before["app"]
    for user in ("worker", "admin"):
        assert after[user] != before[user]
        assert digests(root, user) == {digest_of(before[user]), digest_of(after[user])}
        assert (root / user / "previous-url").read_text() == before[user]
    assert main() == 0
    assert all(digests(root, user) == {digest_of(after[user])} for user in after)
    assert not list(root.rglob("previous-url"))


def test_all_passwords_are_renewed_by_default(main, root):
    main()
    assert main("renew") == 0
    assert {len(digests(root, user)) for user in ("worker", "gateway", "flower", "app", "admin")} == {2}


def test_secret_is_set_from_standard_input(main, root):
    assert main("set", "api-keys", stdin="one,two\n") == 0
    assert main("set", "flower-password", stdin="mine") == 0
    assert main("set", "otlp-headers", stdin="authorization=hush") == 0
    assert main() == 0
    assert (root / "gateway" / "api-keys").read_text() == "one,two\n"
    assert (root / "flower" / "password").read_text() == "mine\n"
    assert {(root / user / "otlp-headers").read_text() for user in ("worker", "gateway")} == {"authorization=hush\n"}


@pytest.mark.parametrize(
    "arguments", [("renew", "root"), ("set",), ("set", "worker"), ("set", "flower-password"), ("destroy",)]
)
def test_unknown_command_changes_nothing(main, root, capsys, arguments):
    main()
    before = {path: path.read_text() for path in root.rglob("*") if path.is_file()}
    assert main(*arguments) == 2
    assert arguments[-1] in capsys.readouterr().err
    assert {path: path.read_text() for path in root.rglob("*") if path.is_file()} == before


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
        assert all(port.startswith(loopback(name)) for port in service.get("ports", ())), name
        assert "privileged" not in service, name
        if name not in {"init", "admin", "models"}:  # they run once
            assert service["healthcheck"]["test"], name
            assert service["stop_grace_period"], name


def loopback(service):
    """Return the start of a published port. Each service has its own variable, so that opening one opens no other."""
    return f"${{{service.upper()}_BIND:-127.0.0.1}}:"


def test_port_of_redis_is_on_loopback():
    override = yaml.safe_load((COMPOSE / "redis-port.yaml").read_text())
    assert all(port.startswith(loopback("redis")) for port in override["services"]["redis"]["ports"])


def test_every_image_has_a_version_tag():
    text = (COMPOSE / "compose.yaml").read_text() + (COMPOSE / "Dockerfile").read_text()
    images = re.findall(r"(?:image: \$\{\w+:-|ARG PYTHON_IMAGE=)([^}\n]+)", text)
    assert len(images) >= 7
    ours = {image for image in images if image.startswith("hanner-")}
    assert all(re.search(r":v?\d+\.\d+", image) for image in set(images) - ours), images


FAKE_DOCKER = """#!/bin/sh
case "$*" in
  *inspect*) echo '[{"Name": "/one", "State": {"Health": {"Status": "healthy"}}}]' ;;
  *port*) echo 127.0.0.1:1 ;;
  *) echo id ;;
esac
"""


def test_working_directory_in_a_volume_belongs_to_the_user_of_its_image():
    """Otherwise Docker creates it as root, and gives its owner to an empty volume that is mounted there."""
    stages = re.split(r"^FROM ", (COMPOSE / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    (models,) = [stage for stage in stages if re.match(r"\S+ AS models\n", stage)]
    service = yaml.safe_load((COMPOSE / "compose.yaml").read_text("utf-8"))["services"]["models"]
    folder = service["working_dir"]
    assert f"${{MODELS:-models}}:{folder}" in service["volumes"]
    assert service["user"] == "${MODELS_USER:-10001:10001}"
    assert f"install -d -m 0750 -o 10001 -g 10001 {folder}\n" in models


def test_uploads_fit_into_the_gateways_folder_for_temporary_files():
    gateway = yaml.safe_load((COMPOSE / "compose.yaml").read_text("utf-8"))["services"]["gateway"]
    ((size,),) = [re.findall(r"/tmp:size=\$\{GATEWAY_TMP:-(\d+)m\}", one) for one in gateway["tmpfs"]]
    memory = int(re.search(r":-(\d+)m", gateway["mem_limit"])[1])
    assert int(size) << 20 > 2 * Settings().max_upload_bytes
    assert memory - int(size) >= 200  # for the gateway itself


def test_waiting_for_the_stack_ends_quietly_if_its_output_is_closed(tmp_path):
    (tmp_path / "docker").write_text(FAKE_DOCKER)
    (tmp_path / "docker").chmod(0o755)
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, COMPOSE / "wait.py", "docker", "compose"],
            env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
            stdout=write,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


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
