"""A pytest plugin: runs the tests listed in not_applicable.toml too, and fails the run if one of them passes.

An entry names a module, a class or a test, with all parameters unless it names them as well. It also fails the run if
it matches no test, or only tests that upstream skips. A group has more keys if needed:

    run = false      its tests would disturb others, and are not run
    strict = false   its tests have a race, and may pass
    modules = [...]  modules that are not run; they must exist

Upstream marks some tests itself as expected to fail, on an idle machine too; those that pass nevertheless are listed at
the end, with the mark's reason. The plugin also prints how many tests apply, and the result.
"""

import os
import tomllib
from collections import Counter
from pathlib import Path

import pytest

FILE = Path(__file__).with_name("not_applicable.toml")


class NotApplicable:
    """The entries of one package, and the outcomes of all tests.

    Args:
        groups: The tables of the file.
    """

    def __init__(self, groups):
        self.entries = {test: group for group in groups for test in group.get("tests", ())}
        self.modules = {module: group["reason"] for group in groups for module in group.get("modules", ())}
        self.failed = set()
        self.outcomes = Counter()
        self.skip_reasons = Counter()
        self.unexpected = {}

    def find(self, nodeid):
        """Return the entry that covers a test, or None."""
        found = (entry for entry in self.entries if nodeid == entry or nodeid.startswith((f"{entry}::", f"{entry}[")))
        return next(found, None)

    def pytest_ignore_collect(self, collection_path, config):
        return any(collection_path == config.rootpath / module for module in self.modules) or None

    def pytest_collection_modifyitems(self, items):
        for item in items:
            # Upstream's limits are for idle machines. No test depends on its limit.
            item.own_markers[:] = [mark for mark in item.own_markers if mark.name != "timeout"]
            if entry := self.find(item.nodeid):
                group = self.entries[entry]
                how = {"run": group.get("run", True), "strict": group.get("strict", True)}
                item.add_marker(pytest.mark.xfail(reason=group["reason"], **how))

    def pytest_runtest_logreport(self, report):
        entry = self.find(report.nodeid)
        if hasattr(report, "context"):  # a subtest: its test has a report of its own
            return
        if report.skipped and hasattr(report, "wasxfail"):
            self.outcomes["not applicable" if entry else "expected to fail by upstream"] += 1
            self.failed.add(entry)
        elif report.skipped:
            self.outcomes["skipped by upstream"] += 1
            self.skip_reasons[report.longrepr[2].removeprefix("Skipped: ")] += 1
        elif report.failed:
            self.outcomes["failed"] += 1
        elif report.when == "call":
            self.outcomes["passed"] += 1
            if hasattr(report, "wasxfail"):
                self.unexpected[report.nodeid] = ("our" if entry else "upstream's", report.wasxfail)

    @property
    def stale(self):
        """The entries of which no test failed."""
        strict = [entry for entry, group in self.entries.items() if group.get("strict", True)]
        return [entry for entry in strict if entry not in self.failed]

    def pytest_sessionfinish(self, session):
        if self.stale and not hasattr(session.config, "workerinput") and not session.config.option.keyword:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        write, found = terminalreporter.write_line, self.outcomes
        terminalreporter.section("tests that apply")
        for reason, count in self.skip_reasons.most_common():
            write(f"skipped by upstream: {count} x {reason}")
        for module, reason in self.modules.items():
            write(f"not run: {module}: {reason}")
        for test, (whose, reason) in self.unexpected.items():
            write(f"passed, though {whose} mark expects it to fail: {test}: {reason}")
        for entry in self.stale:
            write(f"STALE: no test failed of the entry {entry!r} in {FILE.name}")
        applied = found["passed"] + found["failed"]
        everything = sum(found.values())
        write(f"{applied} of {everything} tests apply ({applied / max(1, everything):.0%}); {dict(found)}")


def pytest_configure(config):
    groups = tomllib.loads(FILE.read_text()).get(os.environ["UPSTREAM_PACKAGE"], [])
    if os.environ.get("UPSTREAM_STOCK"):  # without hanner all tests of the same modules apply
        groups = [group for group in groups if "modules" in group]
    plugin = NotApplicable(groups)
    if missing := [module for module in plugin.modules if not (config.rootpath / module).is_file()]:
        raise pytest.UsageError(f"{FILE.name} lists modules that do not exist: {', '.join(missing)}")
    config.pluginmanager.register(plugin, "not-applicable")
