"""Checks of the workers that answer: same queue, limits, version and model as this client, and a correct clock.

Pure functions.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from hanner.cli.doctor.result import CheckResult, fail, ok, warn
from hanner.cli.doctor.server import SKEW_WARN, clock_skew
from hanner.settings import Settings, variable

SHARED_SETTINGS = ("max_text_chars", "result_ttl")
"""Settings that must be the same for client and worker, in addition to the queue."""


class LocalSide(NamedTuple):
    """The client's side of the comparison.

    Attributes:
        settings: Its settings.
        version: Its version of hanner.
        before: Its clock when the workers were asked.
        after: Its clock when they had answered.
    """

    settings: Settings
    version: str
    before: float
    after: float


def merge_replies(replies: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the reports by worker name. A worker of another app with the same name replies too, with an error."""
    reports: dict[str, dict[str, Any]] = {}
    for reply in replies:
        for name, value in reply.items():
            reports.setdefault(name, {})
            if isinstance(value, dict) and "queue" in value:
                reports[name] = value
    return reports


def check_workers(reports: Mapping[str, Mapping[str, Any]], local: LocalSide) -> Iterator[CheckResult]:
    """Check the reports of all workers.

    Args:
        reports: By worker name, the answer to the remote-control command `hanner_about`.
        local: The client's side.
    """
    if not reports:
        fix = "start one: hanner worker; if one is running, check that it has the same HANNER_BROKER_URL"
        yield fail("workers", "no worker answers", fix)
        return
    queue = local.settings.queue
    on_queue = {name: report for name, report in reports.items() if report.get("queue") == queue}
    for name, report in sorted(reports.items()):
        yield from _check_worker(name, report, local)
    if not on_queue:
        yield fail("workers", f"no worker serves queue {queue!r}", "set the same HANNER_QUEUE for client and worker")
    models = sorted({str(report.get("model")) for report in on_queue.values()})
    if len(models) > 1:
        fix = "give all workers the same HANNER_MODEL, unless you are changing the model right now"
        yield warn("workers", f"they have different models: {', '.join(models)}", fix)


def _check_worker(name: str, report: Mapping[str, Any], local: LocalSide) -> Iterator[CheckResult]:
    if "queue" not in report:
        yield warn("worker", f"{name} sent no report", "update its hanner; it is an older version")
        return
    if report["queue"] != local.settings.queue:
        yield ok("worker", f"{name} serves another queue, {report['queue']!r}")
        return
    differences = list(_find_differences(name, report, local))
    yield from differences
    if not differences:
        yield ok(
            "worker", f"{name}: {report.get('model')}, {report.get('processes')} processes, hanner {local.version}"
        )


def _find_differences(name: str, report: Mapping[str, Any], local: LocalSide) -> Iterator[CheckResult]:
    if report.get("version") != local.version:
        message = f"{name} has hanner {report.get('version')}, this client has {local.version}"
        yield warn("worker", message, "install the same version")
    for field in SHARED_SETTINGS:
        theirs, ours = report.get(field), getattr(local.settings, field)
        if theirs is not None and theirs != ours:
            message = f"{name} has {variable(field)}={theirs}, this client has {ours}"
            yield warn("worker", message, f"set the same {variable(field)} on both sides")
    seconds = clock_skew(float(report.get("now", local.after)), local.before, local.after)
    if seconds >= SKEW_WARN:
        message = f"the clock of {name} differs by {seconds:.0f} s from this machine's"
        yield warn("clock", message, "synchronise both with NTP; otherwise requests expire too early or too late")
