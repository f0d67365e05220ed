"""Checks of this process's surroundings: Python, packages, environment variables, settings that clash."""

import difflib
import platform
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import metadata

from packaging.requirements import Requirement

from hanner.cli.doctor.result import CheckResult, fail, ok, warn
from hanner.cli.local_stack import foreign
from hanner.errors import InvalidSettings
from hanner.settings import FILE_SUFFIX, PREFIX, Settings, variable

OLDEST = (3, 11)
NOT_FOR_USERS = {"dev", "all"}


def python(version: tuple[int, ...] = sys.version_info[:3], system: str = platform.system()) -> CheckResult:
    """Judge the interpreter and the system."""
    found = f"{'.'.join(map(str, version))} on {system}"
    if version < OLDEST:
        return fail("Python", found, "hanner needs Python 3.11 or newer")
    if system != "Linux":
        return warn("Python", found, "a client is at home here; run workers on Linux, where they are tested")
    return ok("Python", found)


def packages(
    requirements: Iterable[str] | None = None, version_of: Callable[[str], str] = metadata.version
) -> Iterator[CheckResult]:
    """Compare what is installed with what hanner asks for, and say which extras are there.

    Args:
        requirements: hanner's own; read from its metadata when None.
        version_of: Returns the version of an installed package, else raises PackageNotFoundError.
    """
    wanted = [
        Requirement(line) for line in (metadata.requires("hanner") or () if requirements is None else requirements)
    ]
    faults, extras = [], dict[str, list[bool]]()
    for requirement in wanted:
        extra = _extra_of(requirement)
        if requirement.name == "hanner" or extra in NOT_FOR_USERS:
            continue
        there, fault = _judge(requirement, version_of)
        if fault and (extra is None or there):
            faults.append(fault)
        if extra is not None:
            extras.setdefault(extra, []).append(there and not fault)
    if faults:
        yield fail("packages", "; ".join(faults), "pip install --upgrade hanner, with the extras you use")
    complete = sorted(name for name, parts in extras.items() if all(parts))
    missing = sorted(extras.keys() - set(complete))
    yield ok(
        "extras", f"installed: {', '.join(complete) or 'none'}" + (f"; not: {', '.join(missing)}" if missing else "")
    )


def _extra_of(requirement: Requirement) -> str | None:
    named = re.search(r"extra == ['\"]([\w-]+)['\"]", str(requirement.marker or ""))
    return named[1] if named else None


def _judge(requirement: Requirement, version_of: Callable[[str], str]) -> tuple[bool, str]:
    """Return whether a package is there, and what is wrong with it."""
    try:
        version = version_of(requirement.name)
    except metadata.PackageNotFoundError:
        return False, f"{requirement.name} is missing"
    if requirement.specifier.contains(version, prereleases=True):
        return True, ""
    return True, f"{requirement.name} is {version}, needed is {requirement.specifier}"


def variables(environ: Mapping[str, str]) -> Iterator[CheckResult]:
    """Find HANNER_ variables that nothing reads, and those of Celery that win over hanner's."""
    known = [variable(name) + end for name in Settings.model_fields for end in ("", FILE_SUFFIX)]
    given = sorted(name for name in environ if name.upper().startswith(PREFIX) and environ[name])
    unknown = [name for name in given if name not in known]
    for name in unknown:
        # Without the prefix, which makes any two of them look alike.
        near = difflib.get_close_matches(
            name.upper().removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in known], n=1
        )
        mend = f"did you mean {PREFIX}{near[0]}?" if near else "unset it; the README lists all settings"
        yield warn("variables", f"{name} is none of hanner's settings and has no effect", mend)
    for name in sorted(foreign(environ)):
        yield warn("variables", f"{name} is set, and Celery prefers it to HANNER_BROKER_URL", "unset it for hanner")
    if not unknown:
        yield ok("variables", ", ".join(given) or "none set: every setting has its default")


def settings(environ: Mapping[str, str], broker: str | None = None) -> tuple[Settings | None, list[CheckResult]]:
    """Read the settings and judge how they go together; None when they cannot be used."""
    overrides: dict[str, object] = {} if broker is None else {"broker_url": broker}
    try:
        read = Settings.from_env(environ, **overrides)
    except InvalidSettings as error:
        return None, [fail("settings", str(error), "correct the variable, or unset it")]
    findings = list(_clashes(read))
    return read, findings or [ok("settings", "all can be used, and go together")]


def _clashes(read: Settings) -> Iterator[CheckResult]:
    if read.result_ttl < read.timeout:
        yield fail(
            "settings",
            f"HANNER_RESULT_TTL ({read.result_ttl} s) is less than HANNER_TIMEOUT ({read.timeout:g} s)",
            "raise HANNER_RESULT_TTL: results vanish before a patient client has read them",
        )
    if read.connect_timeout > read.timeout:
        yield warn(
            "settings",
            f"HANNER_CONNECT_TIMEOUT ({read.connect_timeout:g} s) is more than HANNER_TIMEOUT ({read.timeout:g} s)",
            "lower it: a dead Redis is noticed later than a missing answer",
        )
    if read.max_wait_ms / 1000 > read.timeout:
        yield warn(
            "settings",
            f"HANNER_MAX_WAIT_MS ({read.max_wait_ms:g} ms) is more than HANNER_TIMEOUT ({read.timeout:g} s)",
            "lower it: under load, clients give up before their text's turn",
        )
    if read.batch_tokens < read.batch_texts * 4:
        yield warn(
            "settings",
            f"HANNER_BATCH_TOKENS ({read.batch_tokens}) is too small for HANNER_BATCH_TEXTS ({read.batch_texts}) texts",
            "raise HANNER_BATCH_TOKENS; 2048 suits most",
        )
