"""Run Celery's and kombu's own integration tests against hanner's worker and channel.

    PYTHONPATH=tests python -m upstream [celery|celery-results|kombu] [--stock] [PYTEST OPTION ...]

Exits with 1 if a test that applies fails, or one that is listed as not applicable passes. `--stock` runs the same tests
without hanner, to show what fails anyway.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from upstream.sources import fetch

HERE = Path(__file__).parent
OPTIONS = ["-c", str(HERE / "pytest.ini"), "--rootdir", ".", "-q", "--tb", "short"]
PLUGINS = ["no:cacheprovider", "no:rerunfailures", "upstream.redis_for_tests", "upstream.not_applicable"]
RESULTS = "t/integration/test_redis_backend.py"
"""It counts all subscriptions to results, so it runs in a process of its own."""
PACKAGES = {
    "celery": (["celery.contrib.pytest"], "upstream.worker_app", ["-n", "3", "t/integration", f"--ignore={RESULTS}"]),
    "celery-results": (["celery.contrib.pytest"], "upstream.worker_app", [RESULTS]),
    "kombu": ([], "upstream.channels", ["t/integration/test_redis.py", "t/integration/test_redis_brpop_qos.py"]),
}
"""For each package, or part of one: plugins that its tests need, the plugin that makes them use hanner, the tests."""


def run(package, options, *, stock):
    """Run the tests of one package and return pytest's exit status."""
    needed, ours, tests = PACKAGES[package]
    plugins = [*PLUGINS, *needed, *([] if stock else [ours])]
    command = [sys.executable, "-m", "pytest", *OPTIONS, *(word for name in plugins for word in ("-p", name))]
    print(f"{package}: {'without' if stock else 'with'} hanner", flush=True)
    environment = os.environ | {
        "PYTHONPATH": str(HERE.parent),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # they run the celery command
        "WORKER_LOGLEVEL": "INFO",  # some tests read the log of their worker
        "UPSTREAM_PACKAGE": package,
        "UPSTREAM_STOCK": "1" if stock else "",
    }
    return subprocess.run(
        [*command, *tests, *options], cwd=fetch(package.partition("-")[0]), env=environment, check=False
    ).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", nargs="?", choices=[*PACKAGES, "all"], default="all")
    parser.add_argument("--stock", action="store_true")
    options, rest = parser.parse_known_args()
    packages = PACKAGES if options.package == "all" else [options.package]
    failed = [package for package in packages if run(package, rest, stock=options.stock) != 0]
    sys.exit(int(bool(failed)))


if __name__ == "__main__":
    main()
