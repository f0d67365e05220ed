"""The checks of `hanner doctor`."""

from importlib import metadata

import pytest
from redis.exceptions import AuthenticationError, BusyLoadingError, ConnectionError  # noqa: A004

from hanner import Settings
from hanner.address import parse_address
from hanner.cli.doctor import environment, server
from hanner.cli.doctor.result import CheckResult, Level
from hanner.cli.doctor.run import run_checks
from hanner.cli.doctor.workers import LocalSide, check_workers, merge_replies
from hanner.utils.stack_file import RunningStack
from hanner_worker import doctor_checks

LOCAL = LocalSide(Settings(), "1.0", 100.0, 101.0)
REPORT = {
    "version": "1.0",
    "queue": "hanner",
    "max_text_chars": 100_000,
    "result_ttl": 3600,
    "model": "m@1",
    "now": 100.5,
}
HEALTHY = {
    "redis_version": "7.2.4",
    "maxmemory_policy": "noeviction",
    "used_memory": 5 << 20,
    "maxmemory": 0,
    "aof_enabled": 1,
    "role": "master",
}


def levels(results):
    return [result.level for result in results]


def problems(results):
    return [result for result in results if result.level is not Level.OK]


def only_problem(results):
    (result,) = problems(results)
    assert result.fix
    return result


def test_python_and_system():
    assert environment.check_python((3, 11, 2), "Linux").level is Level.OK
    assert environment.check_python((3, 12, 0), "Darwin").level is Level.WARN
    assert environment.check_python((3, 10, 9), "Linux").level is Level.FAIL


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

    return list(environment.check_packages(REQUIREMENTS, version_of))


def test_packages_and_extras():
    (extras,) = packages(celery="5.7.1", redis="6.0", typer="0.20")
    assert extras.message == "installed: cli; not installed: worker"
    assert only_problem(packages(celery="5.6", redis="6.0")).message == "celery is 5.6, required is <5.8,>=5.7"
    assert only_problem(packages(celery="5.7")).message == "redis is not installed"
    assert "numpy is 1.0" in only_problem(packages(celery="5.7", redis="6.0", numpy="1.0", onnxruntime="1.20")).message
    assert problems(environment.check_packages()) == []


def test_misspelt_variable_is_reported_with_the_closest_setting():
    result = only_problem(environment.check_variables({"HANNER_BROKER": "x", "PATH": "y"}))
    assert result.message.startswith("HANNER_BROKER ")
    assert result.fix == "did you mean HANNER_BROKER_URL?"
    assert only_problem(environment.check_variables({"hanner_timeout": "5"})).fix == "did you mean HANNER_TIMEOUT?"
    assert (
        "docs/reference/settings.md" in only_problem(environment.check_variables({"HANNER_COLOUR_OF_THE_SKY": "x"})).fix
    )
    assert problems(environment.check_variables({"CELERY_BROKER_URL": "x"})) == []  # it has no effect on hanner
    assert problems(environment.check_variables({"HANNER_TIMEOUT": "5", "HANNER_MODEL": ""})) == []


def test_removed_variable_is_reported_once():
    result = only_problem(environment.check_variables({"HANNER_MAX_WAIT_MS": "100"}))
    assert result.level is Level.WARN
    assert result.message.startswith("HANNER_MAX_WAIT_MS has no effect any more")
    assert result.fix == "unset it"


@pytest.mark.parametrize(
    ("environ", "level", "words"),
    [
        ({"HANNER_TIMEOUT": "soon"}, Level.FAIL, "HANNER_TIMEOUT is "),
        ({"HANNER_RESULT_TTL": "10"}, Level.FAIL, "HANNER_RESULT_TTL (10 s) is less than HANNER_TIMEOUT (30 s)"),
        ({"HANNER_CONNECT_TIMEOUT": "60"}, Level.WARN, "HANNER_CONNECT_TIMEOUT (60 s)"),
        ({"HANNER_BATCH_MS": "60000"}, Level.WARN, "HANNER_BATCH_MS"),
        ({"HANNER_BATCH_TOKENS": "16"}, Level.WARN, "HANNER_BATCH_TOKENS (16)"),
    ],
)
def test_invalid_and_inconsistent_settings(environ, level, words):
    result = only_problem(environment.read_settings(environ)[1])
    assert result.level is level
    assert words in result.message


ALL = {"enabled": True, "keys": ["~*"], "channels": ["&*"], "categories": ["+@all"], "commands": []}
"""The user `default` of a new server, as redis-py returns it."""
NOTHING = {"enabled": False, "keys": [], "channels": [], "categories": ["-@all"], "commands": []}


@pytest.mark.parametrize(
    ("info", "rules", "level", "words"),
    [
        ({"redis_version": "7.0.15"}, ALL, Level.OK, "Redis 7.0.15 loads its append-only file as the user default"),
        ({"redis_version": "7.0.15"}, NOTHING, Level.FAIL, "lacks ~* &* +@all: a restart loses results"),
        ({"redis_version": "8.4.9"}, {**ALL, "commands": ["-flushall"]}, Level.FAIL, "lacks +@all"),
        ({"redis_version": "7.4.6"}, None, Level.WARN, "whose permissions this client is not permitted to read"),
        ({"redis_version": "7.2.4", "valkey_version": "8.1.4"}, NOTHING, Level.FAIL, "Valkey 8.1.4"),
    ],
)
def test_user_as_which_the_append_only_file_is_loaded(info, rules, level, words):
    assert server.loads_as_default_user(HEALTHY | info)
    result = server.check_default_user(HEALTHY | info, rules)
    assert result.level is level
    assert words in result.message
    assert level is Level.OK or "ACL SETUSER default" in result.fix


def test_user_default_does_not_matter_without_append_only_file_or_on_a_newer_server():
    assert not server.loads_as_default_user(HEALTHY | {"aof_enabled": 0})
    assert not server.loads_as_default_user(HEALTHY | {"redis_version": "8.6.0"})
    assert not server.loads_as_default_user({**HEALTHY, "valkey_version": "9.1.2"})


def test_valid_settings():
    read, results = environment.read_settings({"HANNER_TIMEOUT": "9"}, "redis://h/1")
    assert (read.timeout, read.broker_url) == (9, "redis://h/1")
    assert problems(results) == []


STACK = RunningStack("redis://127.0.0.1:6380/0")


@pytest.mark.parametrize(
    ("environ", "broker", "stack", "message"),
    [
        ({}, None, None, "redis://localhost:6379/0, the default"),
        ({}, None, STACK, "redis://127.0.0.1:6380/0, of the running `hanner up`"),
        ({"HANNER_BROKER_URL": STACK.broker_url}, None, STACK, "redis://127.0.0.1:6380/0, from HANNER_BROKER_URL"),
        ({"HANNER_BROKER_URL": "redis://h"}, "redis://:secret@i/1", None, "redis://:**@i:6379/1, from --broker"),
    ],
)
def test_source_of_the_address(environ, broker, stack, message):
    settings, _ = environment.read_settings(environ, broker, stack)
    assert environment.check_address(settings, environ, broker, stack) == CheckResult(Level.OK, "address", message)


@pytest.mark.parametrize(
    ("environ", "broker", "fix"),
    [
        ({"HANNER_BROKER_URL": "redis://h:1"}, None, "to use that, unset HANNER_BROKER_URL"),
        ({}, "redis://h:1", "to use that, omit --broker"),
    ],
)
def test_address_that_hides_the_running_stack_is_reported(environ, broker, fix):
    settings, _ = environment.read_settings(environ, broker, STACK)
    result = only_problem([environment.check_address(settings, environ, broker, STACK)])
    assert result.message.startswith("redis://h:1/0, from ")
    assert result.message.endswith("; `hanner up` runs at redis://127.0.0.1:6380/0")
    assert (result.level, result.fix) == (Level.WARN, fix)


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
def test_encryption_of_the_connection(url, level):
    result = server.check_address(parse_address(url))
    assert result.level is level
    assert "secret" not in result.message


@pytest.mark.parametrize(
    "option", ["ssl_ca_certs=/no/ca.pem", "ssl_ca_path=/no/folder", "ssl_certfile=/no/own.pem&ssl_keyfile=/no/key.pem"]
)
def test_missing_file_of_certificates_is_reported(option):
    result = server.check_address(parse_address(f"rediss://h:6379/0?{option}"))
    assert result.level is Level.FAIL
    assert option.partition("=")[2].partition("&")[0] in result.message
    assert "No such file or directory" in result.message
    assert "verified" not in result.message


def test_file_that_has_no_certificate_is_reported(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    result = server.check_address(parse_address(f"rediss://h:6379/0?ssl_ca_certs={tmp_path / 'ca.pem'}"))
    assert (result.level, "cannot be read as certificates" in result.message) == (Level.FAIL, True)


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        (ConnectionError("Error 111 connecting to h:1. Connection refused."), "hanner up"),
        (AuthenticationError("WRONGPASS invalid username-password pair"), ":PASSWORD@"),
        (ConnectionError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"), "ssl_ca_certs"),
        (ConnectionError("[SSL: WRONG_VERSION_NUMBER] wrong version number"), "rediss://"),
        (ConnectionError("Error -2 connecting to h:1. Name or service not known."), "host name cannot be resolved"),
        (BusyLoadingError("Redis is loading the dataset in memory"), "wait"),
        (TimeoutError(), "hanner up"),
    ],
)
def test_unreachable_server_is_explained(error, fix):
    result = server.unreachable(error, parse_address("redis://:secret@h:1/0"))
    assert result.level is Level.FAIL
    assert fix in result.fix
    assert "secret" not in result.message
    assert result.message.partition("does not answer: ")[2]


def test_healthy_server():
    assert problems(server.check_server(HEALTHY)) == []
    assert next(server.check_server(HEALTHY | {"valkey_version": "9.1.2"})).message.startswith("Valkey 9.1.2")


@pytest.mark.parametrize(
    ("change", "level", "subject"),
    [
        ({"redis_version": "6.2.14"}, Level.FAIL, "Redis"),
        ({"cluster_enabled": 1}, Level.FAIL, "Redis"),
        ({"role": "slave"}, Level.FAIL, "Redis"),
        ({"maxmemory_policy": "allkeys-lru"}, Level.FAIL, "eviction"),
        ({"maxmemory_policy": "volatile-ttl"}, Level.WARN, "eviction"),
        ({"maxmemory": 5 << 20}, Level.WARN, "memory"),
        ({"aof_enabled": 0}, Level.WARN, "persistence"),
        ({"aof_last_write_status": "err"}, Level.FAIL, "persistence"),
    ],
)
def test_server_problems(change, level, subject):
    result = only_problem(server.check_server(HEALTHY | change))
    assert (result.level, result.subject) == (level, subject)


@pytest.mark.parametrize(("other", "level"), [(100.5, "ok"), (97.0, "warn"), (104.0, "warn"), (200.0, "fail")])
def test_clock_skew(other, level):
    assert server.check_clock(other, 100.0, 101.0).level == level


def test_matching_workers():
    assert levels(check_workers({"w": REPORT}, LOCAL)) == ["ok"]
    assert levels(check_workers({"w": REPORT, "x": REPORT | {"queue": "other"}}, LOCAL)) == ["ok", "ok"]


@pytest.mark.parametrize(
    ("reports", "level", "words"),
    [
        ({}, Level.FAIL, "no worker answers"),
        ({"w": REPORT | {"queue": "other"}}, Level.FAIL, "no worker serves queue 'hanner'"),
        ({"w": REPORT | {"version": "0.9"}}, Level.WARN, "has hanner 0.9, this client has 1.0"),
        ({"w": REPORT | {"max_text_chars": 5}}, Level.WARN, "HANNER_MAX_TEXT_CHARS=5, this client has 100000"),
        ({"w": REPORT | {"now": 50.0}}, Level.WARN, "clock of w differs by 50 s"),
        ({"w": REPORT, "x": REPORT | {"model": "n@2"}}, Level.WARN, "different models: m@1, n@2"),
        ({"w": REPORT, "x": {"error": "no such command"}}, Level.WARN, "x sent no report"),
    ],
)
def test_worker_mismatches(reports, level, words):
    result = only_problem(check_workers(reports, LOCAL))
    assert result.level is level
    assert words in result.message


def test_an_error_of_another_apps_worker_with_the_same_name_does_not_replace_the_report():
    error = {"error": "KeyError('hanner_about')"}
    for replies in ([{"w": REPORT}, {"w": error}], [{"w": error}, {"w": REPORT}]):
        assert merge_replies(replies) == {"w": REPORT}
    assert merge_replies([{"x": error}]) == {"x": {}}


def test_processor():
    fast = "processor : 0\nflags\t\t: fpu avx2 avx512_vnni amx_int8\n"
    assert doctor_checks.processor("x86_64", fast).message == "x86_64 with amx_int8, avx512_vnni"
    assert doctor_checks.processor("x86_64", "flags : fpu avx2\n").level is Level.WARN
    assert doctor_checks.processor("aarch64", "Features : fp asimd asimddp\n").level is Level.OK
    assert doctor_checks.processor("arm64", "").level is Level.OK


def test_processes():
    assert doctor_checks.processes(0, 4).message == "4 on 4 cores"
    assert doctor_checks.processes(8, 4).level is Level.WARN


def test_modified_model_package(tiny_package, tmp_path):
    from shutil import copytree  # noqa: PLC0415

    folder = copytree(tiny_package, tmp_path / "package")
    assert problems(doctor_checks.checks(Settings(model=str(folder)))) == []
    (folder / "crf.safetensors").write_bytes(b"x")
    results = doctor_checks.checks(Settings(model=str(folder)))
    result = only_problem(result for result in results if result.subject in {"model", "engine"})
    assert "crf.safetensors" in result.message


def test_invalid_dictionary_has_its_own_remedy(tiny_package, tmp_path):
    path = tmp_path / "terms.tsv"
    for content in (None, "马云\n"):
        if content is not None:
            path.write_text(content, "utf-8")
        result = only_problem(
            result
            for result in doctor_checks.checks(Settings(model=str(tiny_package), dictionary=str(path)))
            if result.subject not in {"processor", "processes"}
        )
        assert (result.subject, result.fix) == ("dictionary", "correct the file, or unset HANNER_DICTIONARY")
        assert str(path) in result.message


def test_invalid_address_ends_the_checks(monkeypatch):
    monkeypatch.setenv("HANNER_BROKER_URL", "rediss://:secret@h:port")
    results = list(run_checks(None, 1))
    assert results[-1].message.startswith("HANNER_BROKER_URL cannot be used: 'rediss://**@h:**'; the port must be")
    assert not [result for result in results if result.subject == "TLS" or "secret" in result.message]
