"""Draws the Mermaid diagrams as SVG files, with Mermaid in a browser: `make diagrams`. Needs npm and Chromium."""

import shutil
import subprocess

from playwright.sync_api import sync_playwright

from docs_site.diagrams import FOLDER, all_diagrams
from docs_site.pages import ROOT

MERMAID = "mermaid@12.3.0"
MODULES = ROOT / "build" / "mermaid"
DRAW = """
async ([id, source]) => {
  const size = {useMaxWidth: false, wrappingWidth: 320};
  const sequence = {...size, actorMargin: 20, width: 120, height: 40, diagramMarginX: 10, mirrorActors: false};
  mermaid.initialize({startOnLoad: false, theme: "neutral", htmlLabels: false, deterministicIds: true, fontSize: 14,
                      fontFamily: "Arial, Helvetica, sans-serif", flowchart: size, state: size, sequence});
  return (await mermaid.render(id, source)).svg;
}
"""


def main() -> None:
    """Draw all diagrams that changed, and remove drawings that no page uses."""
    found = all_diagrams()
    for file in set(FOLDER.glob("*.svg")) - {each.file for each in found}:
        file.unlink()
    outdated = [each for each in found if not each.is_drawn()]
    if not outdated:
        return
    subprocess.run(["npm", "install", "--silent", "--no-save", "--prefix", MODULES, MERMAID], check=True)
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page()
        tab.add_script_tag(path=MODULES / "node_modules" / "mermaid" / "dist" / "mermaid.min.js")
        for each in outdated:
            svg = tab.evaluate(DRAW, [each.file.stem, each.source])
            each.file.write_text(f"{svg}\n{each.note}\n", "utf-8")
        browser.close()


main()
