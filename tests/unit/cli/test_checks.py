"""What `hanner doctor` makes of what it is told."""

from importlib import metadata

import pytest
from redis.exceptions import AuthenticationError, BusyLoadingError, ConnectionError  # noqa: A004

from hanner import Settings
from hanner.cli.doctor import environment as surroundings
from hanner.cli.doctor import server
from hanner.cli.doctor.result import Level
from hanner.cli.doctor.workers import Here, workers
from hanner_worker import doctor_checks

HERE = Here(Settings(), "1.0", 100.0, 101.0)
TOLD = {
    "version": "1.0",
    "queue": "hanner",
    "max_text_chars": 100_000,
    "result_ttl": 3600,
    "model": "m@1",
    "now": 100.5,
}
WELL = {
    "redis_version": "7.2.4",
    "maxmemory_policy": "noeviction",
    "used_memory": 5 << 20,
    "maxmemory": 0,
    "aof_enabled": 1,
    "role": "master",
}


def levels(findings):
    return [finding.level for finding in findings]


def grave(findings):
    return [finding for finding in findings if finding.level is not Level.OK]


def only(findings):
    (finding,) = grave(findings)
    assert finding.mend
    return finding


def test_python_and_system():
    assert surroundings.python((3, 11, 2), "Linux").level is Level.OK
    assert surroundings.python((3, 12, 0), "Darwin").level is Level.WARN
    assert surroundings.python((3, 10, 9), "Linux").level is Level.FAIL


REQUIREMENTS = (
    "celery<5.8,>=5.7",
    "redis[hiredis]>=5.2",
    "typer<1,>=0.15; extra == 'cli'",
    "numpy>=1.26; extra == 'worker'",
    "onnxruntime>=1.20; extra == 'worker'",
    "hanner[cli,worker]; extra == 'all'",
    "pytest>=8.4; extra == 'dev'",
)


def packages(**installed):
    def version_of(name):
        try:
            return installed[name]
        except KeyError:
            raise metadata.PackageNotFoundError(name) from None

    return list(surroundings.packages(REQUIREMENTS, version_of))


def test_packages_and_extras():
    (extras,) = packages(celery="5.7.1", redis="6.0", typer="0.20")
    assert extras.found == "installed: cli; not: worker"
    assert only(packages(celery="5.6", redis="6.0")).found == "celery is 5.6, needed is <5.8,>=5.7"
    assert only(packages(celery="5.7")).found == "redis is missing"
    assert "numpy is 1.0" in only(packages(celery="5.7", redis="6.0", numpy="1.0", onnxruntime="1.20")).found
    assert grave(surroundings.packages()) == []


def test_misspelt_variables_are_named_with_the_nearest_setting():
    finding = only(surroundings.variables({"HANNER_BROKER": "x", "PATH": "y"}))
    assert finding.found.startswith("HANNER_BROKER ")
    assert finding.mend == "did you mean HANNER_BROKER_URL?"
    assert only(surroundings.variables({"hanner_timeout": "5"})).mend == "did you mean HANNER_TIMEOUT?"
    assert "README" in only(surroundings.variables({"HANNER_COLOUR_OF_THE_SKY": "x"})).mend
    assert "HANNER_BROKER_URL" in only(surroundings.variables({"CELERY_BROKER_URL": "x"})).found
    assert grave(surroundings.variables({"HANNER_TIMEOUT": "5", "HANNER_MODEL": ""})) == []


@pytest.mark.parametrize(
    ("environ", "level", "words"),
    [
        ({"HANNER_TIMEOUT": "soon"}, Level.FAIL, "HANNER_TIMEOUT cannot be used"),
        ({"HANNER_RESULT_TTL": "10"}, Level.FAIL, "HANNER_RESULT_TTL (10 s) is less than HANNER_TIMEOUT (30 s)"),
        ({"HANNER_CONNECT_TIMEOUT": "60"}, Level.WARN, "HANNER_CONNECT_TIMEOUT (60 s)"),
        ({"HANNER_MAX_WAIT_MS": "60000"}, Level.WARN, "HANNER_MAX_WAIT_MS"),
        ({"HANNER_BATCH_TOKENS": "16"}, Level.WARN, "HANNER_BATCH_TOKENS (16)"),
    ],
)
def test_settings_that_cannot_be_used_or_clash(environ, level, words):
    finding = only(surroundings.settings(environ)[1])
    assert finding.level is level
    assert words in finding.found


def test_settings_that_are_well():
    read, findings = surroundings.settings({"HANNER_TIMEOUT": "9"}, "redis://h/1")
    assert (read.timeout, read.broker_url) == (9, "redis://h/1")
    assert grave(findings) == []


@pytest.mark.parametrize(
    ("url", "level"),
    [
        ("redis://localhost:6379/0", Level.OK),
        ("redis://10.0.0.5:6379/0", Level.OK),
        ("redis://redis:6379/0", Level.OK),
        ("redis+socket:///run/redis.sock", Level.OK),
        ("redis://:secret@cache.example.com:6379/0", Level.WARN),
        ("rediss://cache.example.com:6379/0", Level.OK),
        ("rediss://cache.example.com:6379/0?ssl_cert_reqs=CERT_NONE", Level.WARN),
        ("rediss://cache.example.com:6379/0?ssl_cert_reqs=CERT_REQUIRED", Level.OK),
    ],
)
def test_how_texts_travel(url, level):
    finding = server.address(url)
    assert finding.level is level
    assert "secret" not in finding.found


@pytest.mark.parametrize(
    ("error", "mend"),
    [
        (ConnectionError("Error 111 connecting to h:1. Connection refused."), "hanner up"),
        (AuthenticationError("WRONGPASS invalid username-password pair"), ":PASSWORD@"),
        (ConnectionError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"), "ssl_ca_certs"),
        (ConnectionError("[SSL: WRONG_VERSION_NUMBER] wrong version number"), "rediss://"),
        (ConnectionError("Error -2 connecting to h:1. Name or service not known."), "host's name"),
        (BusyLoadingError("Redis is loading the dataset in memory"), "wait"),
        (TimeoutError(), "hanner up"),
    ],
)
def test_a_server_that_cannot_be_asked(error, mend):
    finding = server.unreachable(error, "redis://:secret@h:1/0")
    assert finding.level is Level.FAIL
    assert mend in finding.mend
    assert "secret" not in finding.found
    assert finding.found.partition("does not answer: ")[2]


def test_a_good_server():
    assert grave(server.server(WELL)) == []
    assert next(server.server(WELL | {"valkey_version": "9.1.2"})).found.startswith("Valkey 9.1.2")


@pytest.mark.parametrize(
    ("change", "level", "subject"),
    [
        ({"redis_version": "5.0.14"}, Level.FAIL, "Redis"),
        ({"cluster_enabled": 1}, Level.FAIL, "Redis"),
        ({"role": "slave"}, Level.FAIL, "Redis"),
        ({"maxmemory_policy": "allkeys-lru"}, Level.FAIL, "eviction"),
        ({"maxmemory_policy": "volatile-ttl"}, Level.WARN, "eviction"),
        ({"maxmemory": 5 << 20}, Level.WARN, "memory"),
        ({"aof_enabled": 0}, Level.WARN, "persistence"),
        ({"aof_last_write_status": "err"}, Level.FAIL, "persistence"),
    ],
)
def test_a_server_that_would_lose_or_refuse_something(change, level, subject):
    finding = only(server.server(WELL | change))
    assert (finding.level, finding.subject) == (level, subject)


@pytest.mark.parametrize(("other", "level"), [(100.5, "ok"), (97.0, "warn"), (104.0, "warn"), (200.0, "fail")])
def test_clocks(other, level):
    assert server.clock(other, 100.0, 101.0).level == level


def test_workers_that_fit():
    assert levels(workers({"w": TOLD}, HERE)) == ["ok"]
    assert levels(workers({"w": TOLD, "x": TOLD | {"queue": "other"}}, HERE)) == ["ok", "ok"]


@pytest.mark.parametrize(
    ("about", "level", "words"),
    [
        ({}, Level.FAIL, "none answers"),
        ({"w": TOLD | {"queue": "other"}}, Level.FAIL, "none works on queue 'hanner'"),
        ({"w": TOLD | {"version": "0.9"}}, Level.WARN, "has hanner 0.9, here is 1.0"),
        ({"w": TOLD | {"max_text_chars": 5}}, Level.WARN, "HANNER_MAX_TEXT_CHARS=5, here it is 100000"),
        ({"w": TOLD | {"now": 50.0}}, Level.WARN, "clock of w is 50 s off"),
        ({"w": TOLD, "x": TOLD | {"model": "n@2"}}, Level.WARN, "different models: m@1, n@2"),
        ({"w": TOLD, "x": {"error": "no such command"}}, Level.WARN, "x does not say what it is"),
    ],
)
def test_workers_that_do_not(about, level, words):
    finding = only(workers(about, HERE))
    assert finding.level is level
    assert words in finding.found


def test_the_processor():
    fast = "processor : 0\nflags\t\t: fpu avx2 avx512_vnni amx_int8\n"
    assert doctor_checks.processor("x86_64", fast).found == "x86_64 with amx_int8, avx512_vnni"
    assert doctor_checks.processor("x86_64", "flags : fpu avx2\n").level is Level.WARN
    assert doctor_checks.processor("aarch64", "Features : fp asimd asimddp\n").level is Level.OK
    assert doctor_checks.processor("arm64", "").level is Level.OK


def test_processes():
    assert doctor_checks.processes(0, 4).found == "4 on 4 cores"
    assert doctor_checks.processes(8, 4).level is Level.WARN


def test_a_model_package_that_was_changed(tiny_package, tmp_path):
    from shutil import copytree  # noqa: PLC0415

    folder = copytree(tiny_package, tmp_path / "package")
    assert grave(doctor_checks.checks(Settings(model=str(folder)))) == []
    (folder / "crf.safetensors").write_bytes(b"x")
    finding = only(f for f in doctor_checks.checks(Settings(model=str(folder))) if f.subject in {"model", "engine"})
    assert "crf.safetensors" in finding.found
