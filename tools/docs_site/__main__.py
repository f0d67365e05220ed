"""Builds the site into build/site, or serves it: `python -m docs_site [serve]`."""

import json
import subprocess
import sys
from pathlib import Path

from docs_site.check import problems
from docs_site.pages import ROOT
from docs_site.stage import stage

BUILD = ROOT / "build"
ZENSICAL = Path(sys.executable).with_name("zensical")


def main() -> int:
    """Build or serve the site; return the exit code."""
    try:
        configuration = stage(BUILD)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    if sys.argv[1:] == ["serve"]:
        return subprocess.run([ZENSICAL, "serve", "-a", "127.0.0.1:8001", "-f", configuration], check=False).returncode
    code = subprocess.run([ZENSICAL, "build", "--strict", "--clean", "-f", configuration], check=False).returncode
    if code:
        return code
    site = BUILD / "site"
    _add_chinese(site / "search.json")
    found = problems(site)
    print("\n".join(found), file=sys.stderr)
    print(f"{len(found)} problems" if found else f"the site is in {site}")
    return int(bool(found))


def _add_chinese(index: Path) -> None:
    """Enable Chinese word segmentation in the search; Zensical's configuration has one language per site."""
    search = json.loads(index.read_text("utf-8"))
    search["config"]["lang"] = ["en", "zh"]
    index.write_text(json.dumps(search, ensure_ascii=False), "utf-8")


sys.exit(main())
