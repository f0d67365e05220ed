"""Writes the pages of docs/reference: `make reference`."""

from reference.pages import FOLDER, PAGES

for name, render in PAGES.items():
    (FOLDER / name).write_text(render(), "utf-8")
