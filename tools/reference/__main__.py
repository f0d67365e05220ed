"""Writes the pages of docs/reference, and the tables of the bundled models in other documents: `make reference`."""

from reference import models
from reference.pages import FOLDER, PAGES

for name, render in PAGES.items():
    (FOLDER / name).write_text(render(), "utf-8")
for document in models.DOCUMENTS:
    document.write_text(models.update(document.read_text("utf-8")), "utf-8")
