"""Checks of the workers that answer, against this client: same queue, same limits, same versions, clocks that agree."""

from collections.abc import Iterator, Mapping
from typing import Any

from nerq.checkup import Finding, fail, ok, warn
from nerq.cli.checks.server import SKEW_WARN
from nerq.settings import Settings, variable

SHARED = ("max_text_chars", "result_ttl")
"""Settings that client and worker must have alike, besides the queue."""


def workers(about: Mapping[str, Mapping[str, Any]], settings: Settings, version: str, now: float) -> Iterator[Finding]:
    """Judge what workers say of themselves.

    Args:
        about: By name, what each worker answered to `nerq_about`.
        settings: The client's.
        version: Of nerq, here.
        now: When they answered, by this machine's clock.
    """
    if not about:
        mend = "start one: nerq worker; if one runs, see that it has the same NERQ_BROKER_URL"
        yield fail("workers", "none answers", mend)
        return
    ours = {name: told for name, told in about.items() if told.get("queue") == settings.queue}
    for name, told in sorted(about.items()):
        yield from _worker(name, told, settings, version, now)
    if not ours:
        mend = "set NERQ_QUEUE alike for client and worker"
        yield fail("workers", f"none works on queue {settings.queue!r}", mend)
    models = sorted({str(told.get("model")) for told in ours.values()})
    if len(models) > 1:
        mend = "unless you are changing models right now, give all workers the same NERQ_MODEL"
        yield warn("workers", f"they run different models: {', '.join(models)}", mend)


def _worker(name: str, told: Mapping[str, Any], settings: Settings, version: str, now: float) -> Iterator[Finding]:
    if "queue" not in told:
        yield warn("worker", f"{name} does not say what it is", "see whether it is an older worker, or none of nerq's")
        return
    if told["queue"] != settings.queue:
        yield ok("worker", f"{name} works on another queue, {told['queue']!r}")
        return
    faults = list(_differences(name, told, settings, version, now))
    yield from faults
    if not faults:
        yield ok("worker", f"{name}: {told.get('model')}, {told.get('processes')} processes, nerq {version}")


def _differences(name: str, told: Mapping[str, Any], settings: Settings, version: str, now: float) -> Iterator[Finding]:
    if told.get("version") != version:
        yield warn("worker", f"{name} has nerq {told.get('version')}, here is {version}", "install the same version")
    for field in SHARED:
        theirs, mine = told.get(field), getattr(settings, field)
        if theirs is not None and theirs != mine:
            found = f"{name} has {variable(field)}={theirs}, here it is {mine}"
            yield warn("worker", found, f"set {variable(field)} alike on both sides")
    if abs(float(told.get("now", now)) - now) >= SKEW_WARN:
        found = f"the clock of {name} is {abs(float(told['now']) - now):.0f} s off this machine's"
        yield warn("clock", found, "set both by NTP: a request may expire too early, or too late")
