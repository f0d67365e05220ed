"""Bundles the page into one document for the wheel, with its script, style sheet and icon: `make page`. Needs npm.

The sources are in producer/page. On a slow network each round trip counts, so the first visit needs only the document.
"""

import hashlib
import re
import subprocess
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "producer" / "page"
BUILT = ROOT / "producer" / "hanner_gateway" / "page.html"
ESBUILD = "esbuild@0.28.2"
TOOLS = ROOT / "build" / "esbuild"
NOTE = re.compile(r"<!-- built by `make page` from sources ([0-9a-f]{64}) -->")


def sources_digest() -> str:
    """Return the SHA-256 of all sources and of the bundler's version, as hexadecimal digits."""
    digest = hashlib.sha256(ESBUILD.encode())
    for path in sorted(path for path in SOURCES.rglob("*") if path.is_file()):
        digest.update(b"\0".join([path.relative_to(SOURCES).as_posix().encode(), path.read_bytes(), b""]))
    return digest.hexdigest()


def built_digest() -> str | None:
    """Return the digest of the sources that the built page was made of; None if there is no built page."""
    found = NOTE.search(BUILT.read_text("utf-8")) if BUILT.is_file() else None
    return found and found[1]


def bundle(entry: str) -> str:
    """Return a script or style sheet with all that it imports, minified; esbuild escapes `</script` and `</style`."""
    program = TOOLS / "node_modules" / ".bin" / "esbuild"
    if not program.exists() or ESBUILD not in (TOOLS / "version").read_text("utf-8"):
        subprocess.run(["npm", "install", "--silent", "--no-save", "--prefix", TOOLS, ESBUILD], check=True)
        (TOOLS / "version").write_text(ESBUILD, "utf-8")
    options = ["--bundle", "--minify", "--format=esm", "--charset=utf8", "--target=es2022", "--legal-comments=none"]
    if entry.endswith(".css"):
        options = ["--bundle", "--minify", "--charset=utf8"]
    return subprocess.run([program, SOURCES / entry, *options], check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Write the page into the package hanner_gateway."""
    icon = f"data:image/svg+xml,{quote((SOURCES / 'icon.svg').read_text('utf-8').strip())}"
    note = f"<!-- built by `make page` from sources {sources_digest()} -->"
    page = (SOURCES / "index.html").read_text("utf-8")
    for reference, content in (
        ("<!doctype html>\n", f"<!doctype html>\n{note}\n"),
        ('<link rel="stylesheet" href="css/page.css" />', f"<style>{bundle('css/page.css').strip()}</style>"),
        (' src="js/main.js"></script>', f">{bundle('js/main.js').strip()}</script>"),
        ('"icon.svg"', f'"{icon}"'),
    ):
        if reference not in page:
            raise SystemExit(f"producer/page/index.html has no {reference.strip()}")
        page = page.replace(reference, content)
    BUILT.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
