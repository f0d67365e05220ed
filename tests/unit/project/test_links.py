"""The links and paths in all Markdown pages exist."""

import re
import subprocess
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[3]
PAGES = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    if (ROOT / name).is_file()
]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|(?:href|src)=\"([^\"]+)\"")
FOLDERS = ("", "producer", "worker")
"""Folders to which paths in the text are relative."""
CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(
    r"(?<![\w/.-])(?:producer|worker|tests|docs|compose|hanner\w*)/[\w./-]*(?:/|\.(?:py|lua|md|ya?ml|json))(?![\w/])"
)


def without_code_blocks(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


@cache
def anchors(page):
    """Return the anchors of a page's headings, as GitHub generates them."""
    headings = re.findall(r"^#+ (.*)$", without_code_blocks(page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file_and_a_heading(page):
    broken = []
    for pair in LINK.findall(without_code_blocks(page.read_text("utf-8"))):
        link = "".join(pair)
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_in_the_text_exists(page):
    code = CODE.findall(without_code_blocks(page.read_text("utf-8")))
    paths = [path for span in code for path in PATH.findall(span)]
    assert [path for path in paths if not any((ROOT / folder / path).exists() for folder in FOLDERS)] == []


def test_there_are_pages_to_check():
    assert len(PAGES) > 10
