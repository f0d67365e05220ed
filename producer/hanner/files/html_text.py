"""The visible text of an HTML page. Blocks are separated by line breaks; inline elements do not break words. Pure."""

import re
from html.parser import HTMLParser

INVISIBLE = {"script", "style", "template", "noscript", "head", "svg", "textarea", "select", "iframe", "object"}
BLOCKS = {
    "address", "article", "aside", "blockquote", "body", "br", "caption", "dd", "details", "dialog", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "html",
    "legend", "li", "main", "nav", "ol", "option", "p", "pre", "section", "summary", "table", "tbody", "td", "tfoot",
    "th", "thead", "tr", "ul",
}  # fmt: skip
_SPACES = re.compile(r"[ \t\r\n\f]+")
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w-]+)", re.IGNORECASE)
_PROLOGUE = 1024
"""Bytes at the start of a page in which browsers look for its encoding."""


def html_to_text(page: str) -> str:
    """Return the text of a page: one line per block, white space collapsed as a browser does."""
    parser = _Parser()
    parser.feed(page)
    parser.close()
    return parser.text()


def declared_encoding(page: bytes) -> str | None:
    """Return the encoding that the page's <meta> element names; None without one."""
    found = _CHARSET.search(page[:_PROLOGUE])
    if found is None:
        return None
    name = found[1].decode("ascii").lower()
    return "gb18030" if name in {"gb2312", "gbk"} else name  # browsers do the same


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[str] = []
        self._line: list[str] = []
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag == "body":
            self._hidden.clear()  # a head that is not closed ends here
        if tag in INVISIBLE:
            self._hidden.append(tag)
        elif tag in BLOCKS:
            self._end_line()

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            del self._hidden[self._hidden.index(tag) :]
        elif tag in BLOCKS:
            self._end_line()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in BLOCKS:
            self._end_line()

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._line.append(data)

    def text(self) -> str:
        """Return all lines that are not blank."""
        self._end_line()
        return "\n".join(self._lines)

    def _end_line(self) -> None:
        line = _SPACES.sub(" ", "".join(self._line)).strip(" ")
        self._line.clear()
        if line:
            self._lines.append(line)
