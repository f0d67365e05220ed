"""Checks of the workers that answer, against this client: same queue, same limits, same versions, clocks that agree."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from hanner.cli.doctor.result import CheckResult, fail, ok, warn
from hanner.cli.doctor.server import SKEW_WARN, skew
from hanner.settings import Settings, variable

SHARED = ("max_text_chars", "result_ttl")
"""Settings that client and worker must have alike, besides the queue."""


class Here(NamedTuple):
    """The client's side.

    Attributes:
        settings: Its settings.
        version: Of hanner.
        before: Its clock when workers were asked.
        after: Its clock when they had answered.
    """

    settings: Settings
    version: str
    before: float
    after: float


def workers(about: Mapping[str, Mapping[str, Any]], here: Here) -> Iterator[CheckResult]:
    """Judge what workers say of themselves.

    Args:
        about: By name, what each worker answered to `hanner_about`.
        here: The client's side.
    """
    if not about:
        mend = "start one: hanner worker; if one runs, see that it has the same HANNER_BROKER_URL"
        yield fail("workers", "none answers", mend)
        return
    ours = {name: told for name, told in about.items() if told.get("queue") == here.settings.queue}
    for name, told in sorted(about.items()):
        yield from _worker(name, told, here)
    if not ours:
        mend = "set HANNER_QUEUE alike for client and worker"
        yield fail("workers", f"none works on queue {here.settings.queue!r}", mend)
    models = sorted({str(told.get("model")) for told in ours.values()})
    if len(models) > 1:
        mend = "unless you are changing models right now, give all workers the same HANNER_MODEL"
        yield warn("workers", f"they run different models: {', '.join(models)}", mend)


def _worker(name: str, told: Mapping[str, Any], here: Here) -> Iterator[CheckResult]:
    if "queue" not in told:
        yield warn(
            "worker", f"{name} does not say what it is", "see whether it is an older worker, or none of hanner's"
        )
        return
    if told["queue"] != here.settings.queue:
        yield ok("worker", f"{name} works on another queue, {told['queue']!r}")
        return
    faults = list(_differences(name, told, here))
    yield from faults
    if not faults:
        yield ok("worker", f"{name}: {told.get('model')}, {told.get('processes')} processes, hanner {here.version}")


def _differences(name: str, told: Mapping[str, Any], here: Here) -> Iterator[CheckResult]:
    if told.get("version") != here.version:
        yield warn(
            "worker", f"{name} has hanner {told.get('version')}, here is {here.version}", "install the same version"
        )
    for field in SHARED:
        theirs, mine = told.get(field), getattr(here.settings, field)
        if theirs is not None and theirs != mine:
            found = f"{name} has {variable(field)}={theirs}, here it is {mine}"
            yield warn("worker", found, f"set {variable(field)} alike on both sides")
    seconds = skew(float(told.get("now", here.after)), here.before, here.after)
    if seconds >= SKEW_WARN:
        found = f"the clock of {name} is {seconds:.0f} s off this machine's"
        yield warn("clock", found, "set both by NTP: a request may expire too early, or too late")
