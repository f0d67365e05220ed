"""Checks of this process's environment: Python, packages, variables, and settings that contradict each other."""

import difflib
import platform
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import metadata

from packaging.requirements import Requirement

from hanner.address import parse_addresses, redact_url
from hanner.cli.doctor.result import CheckResult, fail, ok, warn
from hanner.errors import InvalidSettings
from hanner.settings import (
    FILE_SUFFIX,
    PREFIX,
    REMOVED_SETTINGS,
    Settings,
    read_variable,
    removed_variables,
    source_of,
    variable,
)
from hanner.utils.packaging import install_hint
from hanner.utils.stack_file import RunningStack

MIN_PYTHON = (3, 11)
INTERNAL_EXTRAS = {"dev", "all"}


def check_python(version: tuple[int, ...] = sys.version_info[:3], system: str = platform.system()) -> CheckResult:
    """Check the Python version and the operating system."""
    message = f"{'.'.join(map(str, version))} on {system}"
    if version < MIN_PYTHON:
        return fail("Python", message, "install Python 3.11 or newer")
    if system != "Linux":
        return warn("Python", message, "clients work here; run workers on Linux, where they are tested")
    return ok("Python", message)


def check_packages(
    requirements: Iterable[str] | None = None, version_of: Callable[[str], str] = metadata.version
) -> Iterator[CheckResult]:
    """Compare installed packages with hanner's requirements, and list the installed extras.

    Args:
        requirements: hanner's requirements; None reads them from its metadata.
        version_of: Returns the version of an installed package, or raises PackageNotFoundError.
    """
    lines = metadata.requires("hanner") or () if requirements is None else requirements
    errors, extras = [], dict[str, list[bool]]()
    for requirement in map(Requirement, lines):
        extra = _extra_of(requirement)
        if requirement.name == "hanner" or extra in INTERNAL_EXTRAS:
            continue
        installed, error = _check_requirement(requirement, version_of)
        if error and (extra is None or installed):
            errors.append(error)
        if extra is not None:
            extras.setdefault(extra, []).append(installed and not error)
    if errors:
        yield fail("packages", "; ".join(errors), f"{install_hint()}, with the extras you use")
    complete = sorted(name for name, parts in extras.items() if all(parts))
    missing = sorted(extras.keys() - set(complete))
    not_installed = f"; not installed: {', '.join(missing)}" if missing else ""
    yield ok("extras", f"installed: {', '.join(complete) or 'none'}{not_installed}")


def _extra_of(requirement: Requirement) -> str | None:
    match = re.search(r"extra == ['\"]([\w-]+)['\"]", str(requirement.marker or ""))
    return match[1] if match else None


def _check_requirement(requirement: Requirement, version_of: Callable[[str], str]) -> tuple[bool, str]:
    """Return whether the package is installed, and an error message, which is empty if its version fits."""
    try:
        version = version_of(requirement.name)
    except metadata.PackageNotFoundError:
        return False, f"{requirement.name} is not installed"
    if requirement.specifier.contains(version, prereleases=True):
        return True, ""
    return True, f"{requirement.name} is {version}, required is {requirement.specifier}"


def check_variables(environ: Mapping[str, str]) -> Iterator[CheckResult]:
    """Check for unknown HANNER_ variables."""
    known = [variable(name) + end for name in Settings.model_fields for end in ("", FILE_SUFFIX)]
    given = sorted(name for name in environ if name.upper().startswith(PREFIX) and environ[name])
    unknown = [name for name in given if name not in known]
    yield from (warn("variables", sentence, "unset it") for sentence in removed_variables(environ))
    removed = {variable(name) + end for name in REMOVED_SETTINGS for end in ("", FILE_SUFFIX)}
    for name in unknown:
        if name in removed:
            continue
        # Compared without the common prefix, which would make all names similar.
        similar = difflib.get_close_matches(
            name.upper().removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in known], n=1
        )
        fix = (
            f"did you mean {PREFIX}{similar[0]}?"
            if similar
            else "unset it; docs/reference/settings.md lists all settings"
        )
        yield warn("variables", f"{name} is not a setting of hanner and has no effect", fix)
    if not unknown:
        yield ok("variables", ", ".join(given) or "none set; all settings have their defaults")


def read_settings(
    environ: Mapping[str, str], broker: str | None = None, stack: RunningStack | None = None
) -> tuple[Settings | None, list[CheckResult]]:
    """Return the settings, or None if they are invalid, and the results of their checks.

    Args:
        environ: Environment variables.
        broker: The value of --broker.
        stack: The stack of `hanner up` that runs on this machine.
    """
    overrides: dict[str, object] = {} if broker is None else {"broker_url": broker}
    try:
        if stack is not None and broker is None and not read_variable("broker_url", environ):
            overrides["broker_url"] = stack.broker_url
        settings = Settings.from_env(environ, **overrides)
    except InvalidSettings as error:
        return None, [fail("settings", str(error), "correct the variable, or unset it")]
    conflicts = list(_find_conflicts(settings))
    return settings, conflicts or [ok("settings", "valid and consistent")]


def check_address(
    settings: Settings, environ: Mapping[str, str], broker: str | None, stack: RunningStack | None
) -> CheckResult:
    """Return the address of Redis and where it comes from; warn if another one belongs to the running `hanner up`.

    Args:
        settings: The settings that were read from the other arguments.
        environ: Environment variables.
        broker: The value of --broker.
        stack: The stack of `hanner up` that runs on this machine.
    """
    address = redact_url(settings.broker_url)
    source = "--broker" if broker is not None else source_of("broker_url", environ)
    if broker is None and not environ.get(source):
        running = stack is not None and stack.broker_url == settings.broker_url
        return ok("address", f"{address}, {'of the running `hanner up`' if running else 'the default'}")
    message = f"{address}, from {source}"
    if stack is None or parse_addresses(stack.broker_url) == parse_addresses(settings.broker_url):
        return ok("address", message)
    undo = "omit --broker" if broker is not None else f"unset {source}"
    return warn("address", f"{message}; `hanner up` runs at {redact_url(stack.broker_url)}", f"to use that, {undo}")


def _find_conflicts(settings: Settings) -> Iterator[CheckResult]:
    if settings.result_ttl < settings.timeout:
        yield fail(
            "settings",
            f"HANNER_RESULT_TTL ({settings.result_ttl} s) is less than HANNER_TIMEOUT ({settings.timeout:g} s)",
            "raise HANNER_RESULT_TTL; otherwise results expire before a waiting client reads them",
        )
    if settings.connect_timeout > settings.timeout:
        yield warn(
            "settings",
            f"HANNER_CONNECT_TIMEOUT ({settings.connect_timeout:g} s) is more than "
            f"HANNER_TIMEOUT ({settings.timeout:g} s)",
            "lower it; otherwise requests time out before an unreachable Redis is reported",
        )
    if settings.batch_ms / 1000 > settings.timeout:
        yield warn(
            "settings",
            f"HANNER_BATCH_MS ({settings.batch_ms:g} ms) is more than HANNER_TIMEOUT ({settings.timeout:g} s)",
            "lower it; otherwise requests time out while their batch runs",
        )
    if settings.batch_tokens < settings.batch_texts * 4:
        yield warn(
            "settings",
            f"HANNER_BATCH_TOKENS ({settings.batch_tokens}) is too small for "
            f"HANNER_BATCH_TEXTS ({settings.batch_texts}) texts",
            "raise HANNER_BATCH_TOKENS; 2048 suits most",
        )
