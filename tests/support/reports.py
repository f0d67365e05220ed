"""Shorten the report of a failed test to a screen; the full one and all output go to a file, whose path is shown."""

import re

ENTRIES = 3
"""Calls of a traceback that stay: the last ones."""
SOURCE = 8
"""Lines of source code of each call that stay."""
MESSAGE = (5, 15)
"""First and last lines of an error's message that stay."""
OUTPUT = 10
"""Last lines of captured output that stay."""


def shorten(lines, head, tail):
    """Return the lines without those in the middle if there are more than `head` + `tail`."""
    if (left_out := len(lines) - head - tail) <= 1:
        return lines
    return [*lines[:head], f"... {left_out:,} lines left out ...", *lines[head + left_out :]]


def shorten_report(report, folder):
    """Write a failed test's report to a file in `folder`, and shorten what pytest prints of it.

    Args:
        report: The pytest.TestReport, which is changed.
        folder: The folder of the files; it is created if necessary.
    """
    full = str(report.longrepr)
    sections = [(name, text.splitlines()) for name, text in report.sections if text.strip()]
    _shorten_traceback(report)
    if str(report.longrepr) == full and all(len(lines) <= OUTPUT for _, lines in sections):
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (re.sub(r"[^\w.-]+", "-", f"{report.nodeid}-{report.when}")[-200:] + ".log")
    parts = [full, *("\n".join([f"--- {name} ---", *lines]) for name, lines in sections)]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8", errors="backslashreplace")
    report.sections = [(name, "\n".join(shorten(lines, 0, OUTPUT))) for name, lines in sections]
    report.sections.append(("Full report and output", str(path)))


def _shorten_traceback(report):
    if not hasattr(report.longrepr, "reprtraceback"):  # a fixture or a module that does not exist
        report.longrepr = "\n".join(shorten(str(report.longrepr).splitlines(), *MESSAGE))
        return
    traceback, crash = report.longrepr.reprtraceback, report.longrepr.reprcrash
    if hasattr(report.longrepr, "chain"):
        report.longrepr.chain = report.longrepr.chain[-1:]
    traceback.reprentries = traceback.reprentries[-ENTRIES:]
    for entry in traceback.reprentries:
        source = [line for line in entry.lines if not line.startswith("E ")]
        message = [line for line in entry.lines if line.startswith("E ")]
        entry.lines = [*shorten(source, 0, SOURCE), *shorten(message, *MESSAGE)]
    if crash is not None:
        crash.message = "\n".join(shorten(crash.message.splitlines(), 1, 0))
