"""Checks the built site: every link leads somewhere, and no page loads anything from another host. Reads HTML files.

Zensical's strict mode checks links between pages, but no files and no navigation.
"""

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
"""Elements that a browser loads, and the attribute with the address."""


class _Page(HTMLParser):
    """Collects the addresses and the ids of a page."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self.feed(file.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the addresses and the id of an element."""
        values = {name: value for name, value in attrs if value}
        self.ids.update(values[name] for name in ("id", "name") if name in values)
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in LOADED and LOADED[tag] in values:
            self.loaded.append(values[LOADED[tag]])


@cache
def _read(file: Path) -> _Page:
    return _Page(file)


def problems(site: Path) -> list[str]:
    """Return one line per dead link and per address on another host that a page loads."""
    found = []
    for file in sorted(site.rglob("*.html")):
        page = _read(file)
        name = file.relative_to(site).as_posix()
        external = [address for address in page.loaded if urlsplit(address).netloc]
        found += [f"{name} loads {address} from another host" for address in external]
        for address in {*page.links, *page.loaded} - set(external):
            if (
                not urlsplit(address).scheme
                and not urlsplit(address).netloc
                and not _leads_somewhere(site, file, address)
            ):
                found.append(f"{name} links to {address}, which does not exist")
    return sorted(found)


def _leads_somewhere(site: Path, file: Path, address: str) -> bool:
    parts = urlsplit(address)
    path = unquote(parts.path)
    target = site / path.lstrip("/") if path.startswith("/") else (file.parent / path if path else file)
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return False
    return not parts.fragment or parts.fragment.startswith("__") or unquote(parts.fragment) in _read(target).ids
