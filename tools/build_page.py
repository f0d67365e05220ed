"""Bundles the page into one script and one style sheet for the wheel: `make page`. Needs npm.

The sources are in producer/page. The names of the bundles contain a hash of their content, so that browsers keep them.
"""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "producer" / "page"
STATIC = ROOT / "producer" / "hanner_gateway" / "static"
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
    index = STATIC / "index.html"
    found = NOTE.search(index.read_text("utf-8")) if index.is_file() else None
    return found and found[1]


def bundle(entry: str) -> bytes:
    """Return a script or style sheet with all that it imports, minified."""
    program = TOOLS / "node_modules" / ".bin" / "esbuild"
    if not program.exists() or ESBUILD not in (TOOLS / "version").read_text("utf-8"):
        subprocess.run(["npm", "install", "--silent", "--no-save", "--prefix", TOOLS, ESBUILD], check=True)
        (TOOLS / "version").write_text(ESBUILD, "utf-8")
    options = ["--bundle", "--minify", "--format=esm", "--charset=utf8", "--target=es2022", "--legal-comments=none"]
    if entry.endswith(".css"):
        options = ["--bundle", "--minify", "--charset=utf8"]
    return subprocess.run([program, SOURCES / entry, *options], check=True, capture_output=True).stdout


def main() -> None:
    """Write the page into the package hanner_gateway."""
    page = (SOURCES / "index.html").read_text("utf-8")
    files = {"icon.svg": (SOURCES / "icon.svg").read_bytes()}
    for entry in ("js/main.js", "css/page.css"):
        content = bundle(entry)
        name = f"page-{hashlib.sha256(content).hexdigest()[:10]}{Path(entry).suffix}"
        files[name] = content
        page = page.replace(f"static/{entry}", f"static/{name}")
    note = f"<!-- built by `make page` from sources {sources_digest()} -->"
    files["index.html"] = page.replace("<!doctype html>\n", f"<!doctype html>\n{note}\n", 1).encode()
    shutil.rmtree(STATIC, ignore_errors=True)
    STATIC.mkdir()
    for name, content in files.items():
        (STATIC / name).write_bytes(content)


if __name__ == "__main__":
    main()
