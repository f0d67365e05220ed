"""The documentation site: navigation, sources and the check of the built pages."""

from collections import Counter

import pytest
import yaml

from docs_site.check import problems
from docs_site.diagrams import FOLDER, all_diagrams, diagrams
from docs_site.pages import DOCS, PROJECT, ROOT, navigation, pages, title
from docs_site.stage import stage


def listed(nav):
    for entry in nav:
        for names in entry.values():
            yield from [names] if isinstance(names, str) else names


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    return stage(tmp_path_factory.mktemp("site"))


def test_navigation_lists_every_page_once():
    markdown = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")]
    project = [place for name, place in PROJECT.items() if (ROOT / name).is_file()]
    assert Counter(listed(navigation(pages()))) == Counter(markdown + project)


def test_page_without_section_is_an_error(tmp_path):
    file = tmp_path / "page.md"
    file.write_text("# A page\n")
    with pytest.raises(ValueError, match=r"docs/other/page\.md is in no section"):
        navigation({"other/page.md": file})


def test_page_titles_are_unique():
    titles = Counter(title(file) for name, file in pages().items() if not name.startswith(("zh/", "project/")))
    assert [each for each, count in titles.items() if count > 1] == []


def test_at_least_one_page_is_chinese():
    assert any(name.startswith("zh/") for name in pages())


def test_staged_configuration_lists_existing_pages(staged):
    text = staged.read_text("utf-8")
    nav = yaml.safe_load(text[text.index("\nnav:") :])["nav"]
    for name in listed(nav):
        assert (staged.parent / "docs" / name).is_file()


def test_staged_pages_have_drawings_instead_of_mermaid(staged):
    design = (staged.parent / "docs" / "explanation" / "design.md").read_text("utf-8")
    assert "```mermaid" not in design
    assert "![Which package may import which](../diagrams/design-1.svg)" in design
    assert (staged.parent / "docs" / "diagrams" / "design-1.svg").is_file()


def test_staged_links_to_files_of_the_repository_lead_to_copies(staged):
    monitoring = (staged.parent / "docs" / "how-to" / "observability.md").read_text("utf-8")
    assert "](../files/compose/prometheus/alerts.yml)" in monitoring
    assert (staged.parent / "docs" / "files" / "compose" / "prometheus" / "alerts.yml").is_file()


def test_every_diagram_has_a_current_drawing_and_a_title():
    found = all_diagrams()
    assert found
    assert [each.page for each in found if not each.is_drawn()] == [], "run: make diagrams"
    assert {each.file for each in found} == set(FOLDER.glob("*.svg"))
    assert all(each.title for each in found)


def test_changed_diagram_needs_a_new_drawing():
    (each,) = diagrams("explanation/design.md", "```mermaid\nflowchart TD\n    accTitle: Changed\n    a --> b\n```\n")
    assert each.file == FOLDER / "design-1.svg"
    assert not each.is_drawn()


def test_dead_links_and_foreign_scripts_are_reported(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text('<h2 id="here">Here</h2>')
    (tmp_path / "index.html").write_text(
        '<a href="other/#here">right</a><a href="other/#there">wrong</a><a href="gone.md">wrong</a>'
        '<a href="https://example.org/">right</a><img src="gone.webp"><script src="https://example.org/x.js"></script>'
    )
    assert problems(tmp_path) == [
        "index.html links to gone.md, which does not exist",
        "index.html links to gone.webp, which does not exist",
        "index.html links to other/#there, which does not exist",
        "index.html loads https://example.org/x.js from another host",
    ]
